//! How the steps of an asset go: `retry`, `timeout`, `set_aside_after` and `sla` of sources, tables, feature views and datasets,
//! and the first three of the project.

use millstream_types::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema_text::SpanText;
use crate::{
    Located,
    decode::{OneOrMany, Written},
};

/// How a step that failed for a reason that may pass is tried again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retry")]
pub(crate) struct RetryFile {
    /// How often the step is attempted in all, the first time included: 4 when absent, 1 for never again.
    #[serde(default)]
    pub(crate) attempts: Option<Located<u32>>,
    /// The longest first wait; later ones may be twice as long each. `1s` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) base: Option<Located<Written<Span>>>,
    /// No wait is longer than this; `5m` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) cap: Option<Located<Written<Span>>>,
}

/// How steps that failed for a reason that may pass are tried again, where an asset says nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProjectRetry")]
pub(crate) struct ProjectRetryFile {
    /// How often a step is attempted in all, the first time included: 4 when absent, 1 for never again.
    #[serde(default)]
    pub(crate) attempts: Option<Located<u32>>,
    /// The longest first wait; later ones may be twice as long each. `1s` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) base: Option<Located<Written<Span>>>,
    /// No wait is longer than this; `5m` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) cap: Option<Located<Written<Span>>>,
    /// How many attempts of all assets together may follow on failed ones within an hour: `600/h` when absent.
    #[serde(default)]
    pub(crate) budget: Option<Located<String>>,
}

/// What is promised of an asset.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sla")]
pub(crate) struct SlaFile {
    /// By this time of each day, what the asset holds is of that day: `09:00`, `09:00 Europe/Berlin`. UTC without a zone.
    #[serde(default)]
    pub(crate) fresh_by: Option<Located<String>>,
    /// The days of `fresh_by`: `daily` (as when absent), `weekdays`, `weekends`, or a list as in `[mon, wed]`.
    #[serde(default)]
    pub(crate) days: Option<Located<OneOrMany<String>>>,
    /// What the asset holds is never older than this.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) at_most: Option<Located<Written<Span>>>,
    /// No step of the asset takes longer than this.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) step_at_most: Option<Located<Written<Span>>>,
}
