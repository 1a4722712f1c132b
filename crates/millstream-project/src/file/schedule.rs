//! `schedule` of sources, tables, feature views and datasets.

use millstream_schedule::CatchUp;
use millstream_types::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema_text::{ScheduleText, SpanText};
use crate::{
    Located,
    decode::{OneOrMany, Written},
};

/// What `schedule` may be.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    clippy::large_enum_variant,
    reason = "it describes the value to editors; its forms are decoded one by one"
)]
pub(crate) enum ScheduleValue {
    /// `every 15m`, or a cron line of five fields and perhaps a time zone: `0 6 * * * Europe/Berlin`.
    Text(#[schemars(with = "ScheduleText")] String),
    /// Several triggers, and how the asset takes its place among others.
    Keys(ScheduleFile),
}

/// When the asset runs by itself under `millstream serve`. Several triggers may stand together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Schedule")]
pub(crate) struct ScheduleFile {
    /// At each whole multiple of this, counted from Monday, 00:00 UTC: `15m`, `6h`, `1d`.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) every: Option<Located<Written<Span>>>,
    /// Cron lines of five fields: minute, hour, day of month, month, day of week.
    #[serde(default)]
    pub(crate) cron: Option<Located<OneOrMany<Located<String>>>>,
    /// The time zone of the cron lines, such as `Europe/Berlin`; UTC when absent.
    #[serde(default)]
    pub(crate) zone: Option<Located<String>>,
    /// Whenever a run of this asset has ended well: `silver.orders`, `source:orders`, `view:spend`, `dataset:churn`.
    #[serde(default)]
    pub(crate) after: Option<Located<OneOrMany<Located<String>>>>,
    /// Of sources of files: when there are new files, looked for this often.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) new_files: Option<Located<Written<Span>>>,
    /// When the webhook of this name is called.
    #[serde(default)]
    pub(crate) webhook: Option<Located<OneOrMany<Located<String>>>>,
    /// Keeps the asset fresher than this: what it reads is brought up to date first.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) freshness: Option<Located<Written<Span>>>,
    /// What becomes of ticks of `every` and `cron` that came while nothing ran; `latest` when absent.
    #[serde(default)]
    pub(crate) catch_up: Option<Located<CatchUpFile>>,
    /// Among assets that wait, the higher goes first: from -128 to 127, 0 when absent.
    #[serde(default)]
    pub(crate) priority: Option<Located<i8>>,
    /// The pools of `millstream.yaml` in each of which the asset's step takes one place.
    #[serde(default)]
    pub(crate) pools: Option<Located<OneOrMany<Located<String>>>>,
}

/// The words of `catch_up`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CatchUp")]
pub(crate) enum CatchUpFile {
    /// One run answers all missed ticks.
    Latest,
    /// Each missed tick gets a run of its own.
    All,
    /// Missed ticks are skipped.
    None,
}

impl From<CatchUpFile> for CatchUp {
    fn from(word: CatchUpFile) -> Self {
        match word {
            CatchUpFile::Latest => Self::Latest,
            CatchUpFile::All => Self::All,
            CatchUpFile::None => Self::None,
        }
    }
}
