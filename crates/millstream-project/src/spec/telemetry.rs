//! What work costs, and who is told of it.

use std::path::PathBuf;

use millstream_types::Secret;

/// Prices in one currency, none of them negative. A gigabyte has 10^9 bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct PricesSpec {
    pub currency: String,
    pub cpu_hour: f64,
    pub gb_stored_month: f64,
    pub gb_read: f64,
    pub external_call: f64,
}

/// Receivers outside that are told what runs do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetrySpec {
    pub openlineage: Option<OpenLineageSpec>,
    pub otlp: Option<OtlpSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLineageSpec {
    pub to: OpenLineageReceiver,
    /// The namespace of jobs; the project's name when the file says nothing.
    pub namespace: String,
}

/// Where events of OpenLineage go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenLineageReceiver {
    Url {
        url: String,
        token: Option<Secret>,
    },
    /// A file to which lines are appended.
    File(PathBuf),
}

/// A collector of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSpec {
    /// The base address, without a slash at its end.
    pub endpoint: String,
    pub token: Option<Secret>,
}
