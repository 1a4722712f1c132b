//! The project as meant: checked, defaults filled, every part with its place in the files.

mod check;
mod connection;
mod dataset;
mod environment;
mod feature;
mod housekeeping;
mod partition;
mod schedule;
mod source;
mod table;
mod telemetry;
mod test;
mod webhook;

pub use check::{Bounds, CheckKind, CheckSpec, NamedPattern, Pattern, Scalar};
pub use connection::ConnectionSpec;
pub use dataset::{
    AsKnown, DatasetFeatures, DatasetSpec, EncodeSpec, LabelOrigin, LabelsSpec, OutputFormat, OutputSpec,
    RefreshSpec, SplitBy, SplitSpec,
};
pub use environment::{EnvironmentSpec, OnlineLocation, StateLocation};
pub use feature::{
    AggregateSpec, EntitySpec, FeatureRef, FeatureSpec, FeatureValue, FeatureViewSpec, FeaturesSpec,
    OnDemandSpec, RequestSpec, ServiceSpec,
};
pub use housekeeping::HousekeepingSpec;
pub(crate) use partition::is_named;
pub use partition::{NeedSpec, ParameterSpec, PartitionBy, PartitionSpec};
pub use schedule::ScheduleSpec;
pub use source::{ColumnSpec, ConnectorSpec, ContractSpec, Evolution, LandingMode, SourceSpec};
pub use table::{Grain, IncrementalSpec, Materialize, TableSpec};
pub use telemetry::{OpenLineageReceiver, OpenLineageSpec, OtlpSpec, PricesSpec, TelemetrySpec};
pub use test::{TestInput, TestSpec};
pub use webhook::WebhookSpec;

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use crate::SourceMap;

/// A whole project in one environment.
#[derive(Debug)]
pub struct ProjectSpec {
    /// The folder of `millstream.yaml`.
    pub root: PathBuf,
    pub name: String,
    pub environment: EnvironmentSpec,
    /// How many steps each pool takes at once, by the names of the pools.
    pub pools: BTreeMap<String, NonZeroUsize>,
    /// When a server tidies up, and what it keeps.
    pub housekeeping: HousekeepingSpec,
    /// The webhooks whose callers sign, by name.
    pub webhooks: BTreeMap<String, WebhookSpec>,
    /// `None` where the project names no prices, so that nobody knows what anything costs.
    pub prices: Option<PricesSpec>,
    pub telemetry: TelemetrySpec,
    /// The connections in the order of their names.
    pub connections: Vec<ConnectionSpec>,
    /// The sources in the order of their names.
    pub sources: Vec<SourceSpec>,
    /// The tables in the order of their names.
    pub tables: Vec<TableSpec>,
    pub tests: Vec<TestSpec>,
    /// Everything of `features/`.
    pub features: FeaturesSpec,
    /// The datasets in the order of their names.
    pub datasets: Vec<DatasetSpec>,
    /// The texts of all files, for messages.
    pub files: SourceMap,
}

impl ProjectSpec {
    /// The connection that a source reads through.
    #[must_use]
    pub fn connection_of(&self, source: &SourceSpec) -> Option<&ConnectionSpec> {
        let name = source.connector.connection.as_ref()?;
        self.connections.iter().find(|connection| connection.name == name.value)
    }
}
