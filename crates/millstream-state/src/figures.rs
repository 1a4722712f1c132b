//! The figures of a step: when it could start and when it did, what it used, what that cost, and the receipt of its rows.

use std::collections::BTreeMap;

use millstream_types::{AssetId, AssetVersion, TimestampMicros};
use serde::{Deserialize, Serialize};

/// What was measured of a step. A figure that is not known is `None`, never 0.
///
/// The figures are stored as JSON, so that a later version may add some; a reader skips those that it does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFigures {
    /// When everything that the step comes after had ended, or when its run was asked for.
    pub ready: Option<TimestampMicros>,
    /// The step at whose end this one was ready; `None` where the beginning of the run made it ready.
    #[serde(default)]
    pub waited_for: Option<AssetId>,
    /// When its first attempt began; `None` of a step that never began.
    pub started: Option<TimestampMicros>,
    /// The attempts after the first one.
    pub retries: Option<u32>,
    /// The bytes that were read from the source and from the lake.
    pub bytes_read: Option<u64>,
    /// The bytes of the data files that were written, those of rejected rows included.
    pub bytes_written: Option<u64>,
    /// The processor time, in microseconds, of all attempts.
    pub cpu_us: Option<u64>,
    /// The most bytes that the step's queries held at once.
    pub memory_peak: Option<u64>,
    /// The calls to outside systems.
    pub external_calls: Option<u64>,
    pub receipt: Option<Receipt>,
    pub cost: Option<Cost>,
    /// The fingerprint of the definition by which the asset is up to date after the step.
    #[serde(default)]
    pub definition: Option<String>,
    /// The versions of the inputs that the asset is made of after the step.
    #[serde(default)]
    pub inputs: BTreeMap<AssetId, AssetVersion>,
}

/// A step's proof of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub proof: Proof,
    /// The rows that the step read; `None` where its inputs do not tell how many they have.
    pub rows_in: Option<u64>,
    /// The rows that the table's query made of them; those of a landing are the rows that it read.
    pub rows_made: u64,
    /// The rows that were written.
    pub rows_out: u64,
    pub rows_rejected: u64,
    /// The rows that are in neither place, as they should: the query leaves them out, or a newer row of the same landing took
    /// their place. `None` where a row that is made is not a row that was read.
    pub rows_filtered: Option<u64>,
}

/// What a receipt proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Rows in = out + rejected + filtered.
    EachRow,
    /// Rows made = out + rejected. The rows that are made are computed over several rows, as in an aggregation or a join, so
    /// that no equation holds between them and the rows that were read.
    RowsMade,
}

/// What a step cost, in millionths of the currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub currency: String,
    pub cpu: u64,
    pub read: u64,
    pub calls: u64,
    /// What storing the bytes that were written costs each month; not a part of the total. `None` where these are not known.
    pub stored_month: Option<u64>,
}

impl StepFigures {
    /// How long the step waited although it could have started, in microseconds.
    #[must_use]
    pub fn queued_us(&self) -> Option<u64> {
        u64::try_from(self.started?.0.saturating_sub(self.ready?.0)).ok().or(Some(0))
    }
}

impl Receipt {
    /// Whether every row is accounted for.
    #[must_use]
    pub fn holds(&self) -> bool {
        let sum = |rows: &[u64]| rows.iter().try_fold(0_u64, |sum, rows| sum.checked_add(*rows));
        let is_written = sum(&[self.rows_out, self.rows_rejected]);
        match self.proof {
            Proof::RowsMade => is_written == Some(self.rows_made),
            Proof::EachRow => {
                let Some(filtered) = self.rows_filtered else { return false };
                self.rows_in.is_some() && sum(&[self.rows_out, self.rows_rejected, filtered]) == self.rows_in
            }
        }
    }

    /// The receipt of two pieces of the same work.
    #[must_use]
    pub fn joined(self, next: Self) -> Self {
        let both = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        Self {
            proof: if self.proof == next.proof { self.proof } else { Proof::RowsMade },
            rows_in: both(self.rows_in, next.rows_in),
            rows_made: self.rows_made.saturating_add(next.rows_made),
            rows_out: self.rows_out.saturating_add(next.rows_out),
            rows_rejected: self.rows_rejected.saturating_add(next.rows_rejected),
            rows_filtered: both(self.rows_filtered, next.rows_filtered),
        }
    }
}

impl Cost {
    /// What the step itself cost.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cpu.saturating_add(self.read).saturating_add(self.calls)
    }
}
