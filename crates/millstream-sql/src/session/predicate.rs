//! Conditions of a query that the reader of Parquet evaluates row by row. When one fails on a value, the reader passes on only
//! the debug text of the failure, inside an error of its own that looks like that of an unreadable file.

use arrow::error::ArrowError;
use datafusion::{common::DataFusionError, parquet::errors::ParquetError};

/// The words that the reader writes before the debug text.
const MARK: &str = "Error evaluating filter predicate: ";

/// The failure of a condition as any other failure of a computation; other errors stay as they are.
pub(crate) fn plain(error: DataFusionError) -> DataFusionError {
    match said(error.find_root()) {
        Some(message) => DataFusionError::Execution(message),
        None => error,
    }
}

/// The words of a failed condition, if the error is one.
fn said(error: &DataFusionError) -> Option<String> {
    let DataFusionError::ParquetError(error) = error else { return None };
    let ParquetError::External(inner) = error.as_ref() else { return None };
    let ArrowError::ComputeError(text) = inner.downcast_ref::<ArrowError>()? else { return None };
    let debug = text.strip_prefix(MARK)?;
    if debug.contains("DivideByZero") {
        return Some("Divide by zero error".into());
    }
    let words = debug.split_once("(\"").and_then(|(_, rest)| rest.split_once("\")"));
    Some(words.map_or(debug, |(words, _)| words).replace("\\\"", "\"").replace("\\'", "'"))
}
