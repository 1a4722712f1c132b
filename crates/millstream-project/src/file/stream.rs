//! `stream` in the header of a continuous table.

use millstream_types::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema_text::SpanText;
use crate::{
    Located,
    decode::{OneOrMany, Written},
};

/// How a continuous table comes about from events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stream")]
pub(crate) struct StreamFile {
    /// How far behind the newest event time rows may come without being behind the watermark; `5s` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) disorder: Option<Located<Written<Span>>>,
    /// For how long after its end a window still takes late rows in, which then replace what was told of it; not at all when
    /// absent. Later ones go to `<table>__late`.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) lateness: Option<Located<Written<Span>>>,
    /// A partition without rows for so long holds up nobody; `30s` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) idle_after: Option<Located<Written<Span>>>,
    /// Rows with the same values in these columns are taken once.
    #[serde(default)]
    pub(crate) deduplicate: Option<DeduplicateFile>,
    /// Results are committed at least so often while there are any; `10s` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) commit_every: Option<Located<Written<Span>>>,
    /// Results are committed as soon as there are so many rows of them; 1,000,000 when absent.
    #[serde(default)]
    pub(crate) commit_rows: Option<Located<u64>>,
}

/// Which rows say the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Deduplicate")]
pub(crate) struct DeduplicateFile {
    /// The columns of the input by which rows are the same.
    pub(crate) by: Located<OneOrMany<Located<String>>>,
    /// Rows whose event times are further apart are never the same.
    #[schemars(with = "SpanText")]
    pub(crate) within: Located<Written<Span>>,
}
