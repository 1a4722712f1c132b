//! What was measured of steps, and how two runs differ.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What was measured of a step. What is not known is absent or null, never 0.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Figures {
    /// When everything that the step comes after had ended.
    pub ready: Option<String>,
    /// The step at whose end this one was ready; null where the beginning of the run made it ready.
    pub waited_for: Option<String>,
    /// When the first attempt began.
    pub started: Option<String>,
    /// How long the step waited although it could have started.
    pub queued_ms: Option<u64>,
    /// The attempts after the first one.
    pub retries: Option<u32>,
    /// The bytes that were read from the source and from the lake.
    pub bytes_read: Option<u64>,
    /// The bytes of the data files that were written.
    pub bytes_written: Option<u64>,
    pub cpu_seconds: Option<f64>,
    /// The most bytes that the step's queries held at once.
    pub memory_peak_bytes: Option<u64>,
    /// The calls to outside systems.
    pub external_calls: Option<u64>,
    pub receipt: Option<Receipt>,
    pub cost: Option<Cost>,
    /// The fingerprint of the definition.
    pub definition: Option<String>,
    /// The versions of the inputs.
    pub inputs: BTreeMap<String, i64>,
}

/// A step's proof of its rows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// `each_row`: rows in = out + rejected + filtered. `rows_made`: rows made = out + rejected, since what is made, as by an
    /// aggregation or a join, is not one row of one that was read.
    pub proof: &'static str,
    pub holds: bool,
    pub rows_in: Option<u64>,
    pub rows_made: u64,
    pub rows_out: u64,
    pub rows_rejected: u64,
    pub rows_filtered: Option<u64>,
}

/// What a step cost, by the prices of the project at the time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cost {
    pub currency: String,
    /// The sum of `cpu`, `read` and `calls`.
    pub total: f64,
    pub cpu: f64,
    pub read: f64,
    pub calls: f64,
    /// What storing the bytes that were written costs each month; not a part of the total. Null where these are not known.
    pub stored_month: Option<f64>,
}

/// How a run differs from an earlier one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunDiff {
    pub before: String,
    pub after: String,
    pub command: Pair<String>,
    /// As in the runs themselves; `under_way` of one that goes on.
    pub outcome: Pair<String>,
    /// How long each run took; null of one that goes on.
    pub elapsed_ms: Pair<Option<u64>>,
    /// The processor time of all steps whose own is known.
    pub cpu_seconds: Pair<Option<f64>>,
    /// What all steps cost together.
    pub cost: Pair<Option<f64>>,
    /// Steps of the later run alone.
    pub added: Vec<String>,
    /// Steps of the earlier run alone.
    pub removed: Vec<String>,
    /// Steps of both.
    pub steps: Vec<StepDiff>,
}

/// A step in two runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepDiff {
    pub asset: String,
    pub outcome: Pair<String>,
    /// Why the step ran, in words.
    pub reason: Pair<String>,
    /// Why it failed or was halted, or which asset it was skipped for.
    pub message: Pair<Option<String>>,
    pub elapsed_ms: Pair<u64>,
    pub cpu_seconds: Pair<Option<f64>>,
    pub bytes_read: Pair<Option<u64>>,
    pub bytes_written: Pair<Option<u64>>,
    /// The rows that were read, where these can be counted.
    pub rows_read: Pair<Option<u64>>,
    pub rows_written: Pair<u64>,
    pub rows_rejected: Pair<u64>,
    pub version: Pair<Option<i64>>,
    /// Whether the definition is another; null where one of the runs does not tell it.
    pub definition_changed: Option<bool>,
    /// Inputs that had another version.
    pub inputs_changed: BTreeMap<String, Pair<Option<i64>>>,
}

/// A value in the earlier and in the later run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pair<T> {
    pub before: T,
    pub after: T,
}
