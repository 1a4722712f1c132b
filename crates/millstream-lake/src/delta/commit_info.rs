//! Where a commit comes from. `PROTOCOL.md`, section "Commit Provenance Information", lets writers say what they like as
//! long as it is JSON, so reading it never fails: what does not have the usual type is passed over.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The provenance of a commit. Writers may add keys of their own, which `info` holds.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitInfo {
    /// The time at which the commit was made, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timestamp: Option<i64>,
    /// The same time, in tables that promise that it rises from commit to commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_commit_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation_parameters: Option<HashMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) isolation_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_blind_append: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) engine_info: Option<String>,
    #[serde(flatten)]
    pub(crate) info: HashMap<String, Value>,
}

impl<'de> Deserialize<'de> for CommitInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(mut said) = Value::deserialize(deserializer)? else { return Ok(Self::default()) };
        let mut take = |key: &str| said.remove(key).unwrap_or_default();
        Ok(Self {
            timestamp: whole(&take("timestamp")),
            in_commit_timestamp: whole(&take("inCommitTimestamp")),
            operation: text(take("operation")),
            operation_parameters: match take("operationParameters") {
                Value::Object(parameters) => Some(parameters.into_iter().collect()),
                _ => None,
            },
            read_version: whole(&take("readVersion")),
            isolation_level: text(take("isolationLevel")),
            is_blind_append: take("isBlindAppend").as_bool(),
            engine_info: text(take("engineInfo")),
            info: said.into_iter().collect(),
        })
    }
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// A whole number, also one that is written as `1.7e12`.
#[allow(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
fn whole(value: &Value) -> Option<i64> {
    /// Below this number, every whole `f64` is the number that was written.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let number = value.as_f64().filter(|number| number.abs() < EXACT && number.fract() == 0.0)?;
        Some(number as i64)
    })
}
