//! `circuit` of a connection.

use millstream_types::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema_text::SpanText;
use crate::{Located, decode::Written};

/// When the connection's place is left alone because it does not answer, and for how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct CircuitFile {
    /// So many attempts in a row that could not reach the place open the circuit; 5 when absent.
    #[serde(default)]
    pub(crate) failures: Option<Located<u32>>,
    /// The attempts that open it lie within this time; `10m` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) within: Option<Located<Written<Span>>>,
    /// How long nobody asks before one step tries; `30s` when absent, and twice as long after each try in vain.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) wait: Option<Located<Written<Span>>>,
    /// The longest time for which nobody asks; `10m` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) wait_max: Option<Located<Written<Span>>>,
}

/// What may stand there.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes the key to editors")]
pub(crate) enum CircuitValue {
    Circuit(CircuitFile),
    /// The place is asked however often it does not answer.
    Off(CircuitOff),
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[allow(dead_code, reason = "it describes the word to editors")]
pub(crate) enum CircuitOff {
    Off,
}
