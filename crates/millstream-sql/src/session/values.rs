//! Failures told without the values that they failed on, for statements that read personal data. What an engine says of a
//! failure quotes values in many ways; so only what is known to hold none is kept.

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use super::{SqlError, predicate::plain};

/// The text that stands for a value that nobody is to see.
pub(crate) const MASKED: &str = "***";

/// The failure without the values in its words. Failures outside of the computation, such as those of a store, hold no
/// values.
#[must_use]
pub fn without_values(error: DataFusionError) -> DataFusionError {
    let error = plain(error);
    let root = error.find_root();
    let is_outside = matches!(
        root,
        DataFusionError::External(_)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_)
            | DataFusionError::ParquetError(_)
            | DataFusionError::ResourcesExhausted(_)
    );
    if is_outside { error } else { DataFusionError::Execution(kept(&root.strip_backtrace())) }
}

/// The failure of a computation by Arrow, without the values in its words.
#[must_use]
pub fn arrow_without_values(error: ArrowError) -> ArrowError {
    match error {
        error @ (ArrowError::ExternalError(_) | ArrowError::IoError(..) | ArrowError::MemoryError(_)) => {
            error
        }
        other => ArrowError::ComputeError(kept(&other.to_string())),
    }
}

impl SqlError {
    /// The failure without the values in its words.
    #[must_use]
    pub fn without_values(self) -> Self {
        match self {
            Self::Execution { message } => Self::Execution { message: kept(&message) },
            other => other,
        }
    }
}

/// The words that tell the kind of a failure and the feature that it is about. The hints of [`SqlError`] go by these
/// words.
fn kept(message: &str) -> String {
    match message.split_once(": ").filter(|(head, _)| names_a_feature(head)) {
        Some((head, rest)) => format!("{head}: {}", kind(rest)),
        None => kind(message),
    }
}

/// Whether this is how failures of on-demand features begin: `` `name` `` or `` `name` of row 3 (from 0) ``.
fn names_a_feature(head: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = head.strip_prefix('`').and_then(|rest| rest.split_once('`'));
    named.is_some_and(|(name, rest)| {
        let row = rest.strip_prefix(" of row ").and_then(|rest| rest.strip_suffix(" (from 0)"));
        name.chars().all(is_name) && (rest.is_empty() || row.is_some_and(|row| row.parse::<u64>().is_ok()))
    })
}

fn kind(message: &str) -> String {
    if message.contains("Overflow happened on") {
        format!("Overflow happened on {MASKED}")
    } else if message.contains("Divide by zero") {
        "Divide by zero".into()
    } else if message.to_lowercase().contains("cast") {
        format!("a value cannot be cast: {MASKED}")
    } else {
        format!("a value cannot be computed: {MASKED}")
    }
}
