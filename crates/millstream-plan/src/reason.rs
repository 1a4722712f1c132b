//! Why an asset runs, or does not.

use std::fmt;

use millstream_types::AssetVersion;

/// The one reason that the plan gives an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NeverBuilt,
    /// What was built was there, at this version, and is no longer there: a table of the lake, or what others keep, such as the
    /// file of a dataset.
    Vanished {
        version: AssetVersion,
        is_table: bool,
    },
    DefinitionChanged,
    /// The asset's source or its table cannot be read.
    Unreadable {
        because: String,
    },
    /// These inputs have, or will have, a version that the asset has not seen. For a source the list names parts that wait; for
    /// other assets it may also name what they read beside the graph, such as a file of labels.
    NewInput {
        from: Vec<String>,
    },
    /// The last attempt halted or failed, with these words, and nothing else asks for a run.
    Retry {
        because: String,
    },
    /// Partitions are missing, stale or failed, and nothing else asks for a run.
    Partitions {
        open: u64,
    },
    /// A freshness check does not hold any more, because nothing new came.
    Stale,
    Forced,
    /// What the asset holds is damaged, and is made again as a whole.
    Repair {
        because: String,
    },
    UpToDate,
}

/// How many inputs a line for people names.
const NAMED_MAX: usize = 3;

impl Reason {
    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NeverBuilt => "never_built",
            Self::Vanished { .. } => "vanished",
            Self::DefinitionChanged => "definition_changed",
            Self::Unreadable { .. } => "unreadable",
            Self::NewInput { .. } => "new_input",
            Self::Retry { .. } => "retry",
            Self::Partitions { .. } => "partitions",
            Self::Stale => "stale",
            Self::Forced => "forced",
            Self::Repair { .. } => "repair",
            Self::UpToDate => "up_to_date",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBuilt => f.write_str("never built"),
            Self::Vanished { version, is_table: true } => {
                write!(f, "the lake has no table any more, it was at version {version}")
            }
            Self::Vanished { version, is_table: false } => {
                write!(f, "what was built is gone, it was version {version}")
            }
            Self::DefinitionChanged => f.write_str("definition changed"),
            Self::Unreadable { because } => write!(f, "cannot be looked at: {because}"),
            Self::NewInput { from } if from.is_empty() => f.write_str("new input"),
            Self::NewInput { from } => {
                write!(
                    f,
                    "new input: {}",
                    from.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ")
                )?;
                match from.len().checked_sub(NAMED_MAX) {
                    None | Some(0) => Ok(()),
                    Some(more) => write!(f, " and {more} more"),
                }
            }
            Self::Retry { because } => write!(f, "last attempt failed: {because}"),
            Self::Partitions { open: 1 } => f.write_str("1 partition to build"),
            Self::Partitions { open } => write!(f, "{open} partitions to build"),
            Self::Stale => f.write_str("stale"),
            Self::Forced => f.write_str("forced"),
            Self::Repair { because } => write!(f, "repair: {because}"),
            Self::UpToDate => f.write_str("up to date"),
        }
    }
}
