//! The causes of staleness, with their words.

use std::fmt;

use millstream_schedule::circuit_words;
use millstream_types::{AssetId, AssetVersion, CheckId};

/// What keeps an asset from being what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaleCause {
    /// What is stored of the asset is damaged.
    Damaged {
        damage: String,
    },
    /// The asset failed too often in a row, and runs by itself no more; the text says how it failed last.
    SetAside {
        failures: u32,
        error: Option<String>,
    },
    /// The place that the asset is read from does not answer, and is not asked.
    CircuitOpen {
        circuit: String,
    },
    Failed {
        code: String,
        error: String,
    },
    /// A check, the breaker or a refused schema change kept the new version back.
    Halted {
        reason: String,
    },
    /// A newer version is there, which readers do not take, since the run that made it did not end well.
    Withheld {
        version: AssetVersion,
    },
    /// A promise about how fresh the asset is does not hold; the text says which.
    PromiseBroken {
        promise: String,
    },
    /// What the asset holds was made by an earlier definition.
    DefinitionChanged,
    /// The project defines the asset no more, so that nothing makes it again.
    NotDefined,
    /// What is there cannot be read.
    Unreadable {
        code: String,
        error: String,
    },
    /// Parts of the source could not be read, and are not in it; the text says which and why.
    Incomplete {
        parts: String,
    },
    /// The asset's rows are older than this check allows.
    TooOld {
        check: CheckId,
    },
    /// The asset is made of one that is stale, directly or through others; the text says why that one is.
    Upstream {
        asset: AssetId,
        because: String,
    },
}

impl StaleCause {
    /// The stable word for machines.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "damaged",
            Self::SetAside { .. } => "set_aside",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::Failed { .. } => "failed",
            Self::Halted { .. } => "halted",
            Self::Withheld { .. } => "withheld",
            Self::PromiseBroken { .. } => "promise_broken",
            Self::DefinitionChanged => "definition_changed",
            Self::NotDefined => "not_defined",
            Self::Unreadable { .. } => "unreadable",
            Self::Incomplete { .. } => "incomplete",
            Self::TooOld { .. } => "too_old",
            Self::Upstream { .. } => "upstream",
        }
    }

    /// The cause for an asset that is made of `asset`, which this is the cause of.
    pub(super) fn passed_on(&self, asset: &AssetId) -> Self {
        match self {
            Self::Upstream { .. } => self.clone(),
            own => Self::Upstream { asset: asset.clone(), because: own.to_string() },
        }
    }
}

/// The cause in a sentence without its subject and its full stop.
impl fmt::Display for StaleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { damage } => write!(f, "damaged: {damage}"),
            Self::SetAside { failures, error } => {
                write!(f, "set aside after {failures} failures in a row")?;
                error.iter().try_for_each(|error| write!(f, ": {error}"))
            }
            Self::CircuitOpen { circuit } => write!(f, "{} is open", circuit_words(circuit)),
            Self::Failed { code, error } => write!(f, "the last step failed: {error} ({code})"),
            Self::Halted { reason } => write!(f, "the last step was halted: {reason}"),
            Self::Withheld { version } => {
                write!(f, "version {} waits, since the run that made it did not end well", version.number())
            }
            Self::PromiseBroken { promise } => write!(f, "a promise is broken: {promise}"),
            Self::DefinitionChanged => f.write_str("the definition has changed and is not built yet"),
            Self::NotDefined => f.write_str("the project defines it no more"),
            Self::Unreadable { code, error } => write!(f, "it cannot be read: {error} ({code})"),
            Self::Incomplete { parts } => write!(f, "parts of it could not be read: {parts}"),
            Self::TooOld { check } => write!(f, "the rows are older than the check `{check}` allows"),
            Self::Upstream { asset, because } => write!(f, "made of `{asset}`: {because}"),
        }
    }
}
