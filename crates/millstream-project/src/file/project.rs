//! `millstream.yaml`.

use millstream_types::{ByteSize, Percent, Severity, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    ProjectRetryFile,
    schema_text::{ByteSizeText, PercentText, SpanText},
    telemetry::{PricesFile, TelemetryFile},
};
use crate::{
    Located,
    decode::{Entries, OneOrMany, TextLike, Written},
};

/// A Millstream project.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Project")]
pub(crate) struct ProjectFile {
    /// The project's name, shown in reports.
    pub(crate) name: Located<String>,
    /// What the project is for.
    #[serde(default, rename = "description")]
    pub(crate) _description: Option<String>,
    /// Named sets of stores. Without `default`, everything is kept under `.millstream/`.
    #[serde(default)]
    pub(crate) environments: Entries<EnvironmentFile>,
    /// How many steps run at once in each pool, by the names that schedules give: `heavy: 2`.
    #[serde(default)]
    pub(crate) pools: Entries<Located<usize>>,
    /// When `millstream serve` tidies up, and what it keeps.
    #[serde(default)]
    pub(crate) housekeeping: HousekeepingFile,
    /// Webhooks whose callers sign what they send, by the names that triggers give: `orders: {secret: "${ORDERS_HOOK_SECRET}"}`.
    #[serde(default)]
    pub(crate) webhooks: Entries<WebhookFile>,
    /// What the use of machines and services costs, so that runs tell what they cost.
    #[serde(default)]
    pub(crate) prices: Option<PricesFile>,
    /// Who is told what runs do.
    #[serde(default)]
    pub(crate) telemetry: TelemetryFile,
    /// How steps that failed for a reason that may pass are tried again.
    #[serde(default)]
    pub(crate) retry: Option<Located<ProjectRetryFile>>,
    /// The longest time that one attempt at a step may take; without it, there is no such bound.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) timeout: Option<Located<Written<Span>>>,
    /// After so many failures in a row an asset runs by itself no more, until it is changed or resumed; 5 when absent, 0 for never.
    #[serde(default)]
    pub(crate) set_aside_after: Option<Located<u32>>,
    /// What sources and tables take where they say nothing.
    #[serde(default)]
    pub(crate) defaults: DefaultsFile,
    /// Who is told when something goes wrong. Not sent by this version: `millstream run` exits with 1 when a step fails.
    #[serde(default)]
    pub(crate) alerts: Option<Located<Vec<AlertFile>>>,
}

/// Where one environment keeps things.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Environment")]
pub(crate) struct EnvironmentFile {
    /// The folder or bucket of the tables: `.millstream/lake`, `s3://bucket/prefix`.
    #[serde(default)]
    pub(crate) lake: Option<Located<String>>,
    /// Runs and positions: `sqlite:<path>`, or `postgres://…`, which several machines may share.
    #[serde(default)]
    pub(crate) state: Option<Located<String>>,
    /// The event log: `embedded:<path>`; `kafka://…` cannot be used by this version.
    #[serde(default)]
    pub(crate) log: Option<Located<String>>,
    /// The online store: `embedded:<path>` or `redis://…`.
    #[serde(default)]
    pub(crate) online: Option<Located<String>>,
    /// The vector index: `embedded:<path>` or `qdrant://…`. Not used by this version.
    #[serde(default)]
    pub(crate) vectors: Option<Located<String>>,
    /// Where SQL runs: `local`; `ballista://…` cannot be used by this version.
    #[serde(default)]
    pub(crate) engine: Option<Located<String>>,
    /// Credentials and endpoints of object stores, by object_store's names (`aws_endpoint`, …).
    #[serde(default)]
    pub(crate) storage: Entries<TextLike>,
    /// How many steps run at once.
    #[serde(default)]
    pub(crate) concurrency: Option<Located<usize>>,
    /// What queries and tables may hold in memory, all together, before they use the disk: `512MiB`, `8GiB`. Without it,
    /// a quarter of what the machine or its container has; `--memory` goes before it.
    #[serde(default)]
    #[schemars(with = "Option<ByteSizeText>")]
    pub(crate) memory: Option<Located<Written<ByteSize>>>,
}

/// Compaction, checkpoints, clean-up, and the history of runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Housekeeping")]
pub(crate) struct HousekeepingFile {
    /// When it is done: a cron line with or without a time zone, `every 12h`, or `off`. Daily at 03:00 UTC when absent.
    #[serde(default)]
    pub(crate) schedule: Option<Located<String>>,
    /// How long old versions of tables stay readable, where nothing pins them: 7 days when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) files: Option<Located<Written<Span>>>,
    /// How long runs are remembered, with their steps, results of checks and decisions: 90 days when absent. The latest of each asset
    /// always are.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) runs: Option<Located<Written<Span>>>,
    /// How long the figures of assets are remembered: 400 days when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) metrics: Option<Located<Written<Span>>>,
    /// How long the sample of served values is kept, in `features.served`: 30 days when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) served: Option<Located<Written<Span>>>,
    /// How long it turns to further tables; those for which no time was left come first the next time. 2 hours when absent, a
    /// minute at least.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) at_most: Option<Located<Written<Span>>>,
}

/// How one webhook is called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Webhook")]
pub(crate) struct WebhookFile {
    /// The secret with which calls are signed, HMAC-SHA256: `${NAME}` of the environment, or `${file:/run/secrets/name}`. A call
    /// that is signed needs no token.
    pub(crate) secret: Located<String>,
}

/// Values for what sources and tables leave open.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Defaults")]
pub(crate) struct DefaultsFile {
    /// Severity of row checks.
    #[serde(default)]
    pub(crate) on_violation: Option<Severity>,
    /// The breaker: a larger share of rejected rows stops the step.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub(crate) halt_above: Option<Written<Percent>>,
    /// Highest age of a source's newest row.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) freshness: Option<Written<Span>>,
    /// Who answers for the asset.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select assets by: `tag:<word>`. An asset's own tags are added to these.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
}

/// One place that is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Alert")]
pub(crate) struct AlertFile {
    /// URL that receives a POST with JSON.
    #[serde(rename = "webhook")]
    _webhook: String,
    /// What it is told about; everything when absent.
    #[serde(default, rename = "on")]
    _on: OneOrMany<AlertEvent>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertEvent {
    StepFailed,
    StepHalted,
    CheckFailed,
    SourceStale,
}
