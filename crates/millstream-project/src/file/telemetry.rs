//! `prices` and `telemetry` of `millstream.yaml`.

use millstream_types::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Located;

/// What the use of machines and services costs. A price that is absent is 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Prices")]
pub(crate) struct PricesFile {
    /// An hour of one processor core.
    #[serde(default)]
    pub(crate) cpu_hour: Option<Located<f64>>,
    /// A gigabyte (10^9 bytes) that is stored for a month.
    #[serde(default)]
    pub(crate) gb_stored_month: Option<Located<f64>>,
    /// A gigabyte (10^9 bytes) that is read from sources and from the lake.
    #[serde(default)]
    pub(crate) gb_read: Option<Located<f64>>,
    /// A call to an outside system.
    #[serde(default)]
    pub(crate) external_call: Option<Located<f64>>,
    /// The currency of all prices, such as `EUR`.
    pub(crate) currency: Located<String>,
}

/// Who is told what runs do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Telemetry")]
pub(crate) struct TelemetryFile {
    /// Events of runs and steps as OpenLineage has them, with lineage, schemas and checks.
    #[serde(default)]
    pub(crate) openlineage: Option<Located<OpenLineageFile>>,
    /// Spans of runs and steps for a collector of OpenTelemetry.
    #[serde(default)]
    pub(crate) otlp: Option<Located<OtlpFile>>,
}

/// Where OpenLineage events go: a `url` or a `file`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OpenLineage")]
pub(crate) struct OpenLineageFile {
    /// The address that takes events by POST: `https://lineage.example/api/v1/lineage`.
    #[serde(default)]
    pub(crate) url: Option<Located<String>>,
    /// The bearer token that goes with each event.
    #[serde(default)]
    pub(crate) token: Option<Located<Secret>>,
    /// A file to which events are appended, one a line.
    #[serde(default)]
    pub(crate) file: Option<Located<String>>,
    /// The namespace of jobs. When absent, the project's name.
    #[serde(default)]
    pub(crate) namespace: Option<Located<String>>,
}

/// Where spans go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Otlp")]
pub(crate) struct OtlpFile {
    /// The collector's address for OTLP over HTTP: `http://localhost:4318`.
    pub(crate) endpoint: Located<String>,
    /// The bearer token that goes with each request.
    #[serde(default)]
    pub(crate) token: Option<Located<Secret>>,
}
