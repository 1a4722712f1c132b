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
mod steps;
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
pub use source::{ColumnSpec, ConnectorSpec, ContractSpec, Evolution, LandingMode, LostPosition, SourceSpec};
pub use steps::StepsSpec;
pub use table::{DeduplicateSpec, Grain, IncrementalSpec, Materialize, StreamSpec, TableSpec};
pub use telemetry::{OpenLineageReceiver, OpenLineageSpec, OtlpSpec, PricesSpec, TelemetrySpec};
pub use test::{TestInput, TestSpec};
pub use webhook::WebhookSpec;

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use millstream_schedule::SOURCE_CIRCUIT;
use millstream_types::AssetId;

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
    /// How many attempts of all assets together may follow on failed ones within an hour.
    pub retry_budget: u32,
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

    /// How the steps of each asset go. SQL views have none, and services have nothing that could fail in another place.
    pub fn steps(&self) -> impl Iterator<Item = (AssetId, &StepsSpec)> {
        let sources = self.sources.iter().map(|source| (source.table().asset_id(), &source.steps));
        let tables = self.tables.iter().map(|table| (table.name.asset_id(), &table.steps));
        let views = self.features.views.iter();
        let views = views.map(|view| (AssetId::new(&format!("view:{}", view.name)), &view.steps));
        let datasets = self.datasets.iter();
        let datasets = datasets.map(|one| (AssetId::new(&format!("dataset:{}", one.name)), &one.steps));
        sources.chain(tables).chain(views).chain(datasets)
    }

    /// The circuit of each source that has one: that of its connection, or its own.
    pub fn circuits(&self) -> impl Iterator<Item = (AssetId, String)> {
        self.sources.iter().filter_map(|source| {
            let own = || format!("{SOURCE_CIRCUIT}{}", source.name);
            let connection = self.connection_of(source);
            if connection.is_some_and(|connection| connection.circuit.is_none()) {
                return None;
            }
            let circuit = source.connector.connection.as_ref().map_or_else(own, |name| name.value.clone());
            Some((source.table().asset_id(), circuit))
        })
    }

    /// When a circuit of this name opens, and for how long.
    #[must_use]
    pub fn circuit_policy(&self, name: &str) -> millstream_schedule::CircuitPolicy {
        let connection = self.connections.iter().find(|connection| connection.name == name);
        connection.and_then(|connection| connection.circuit).unwrap_or_default()
    }
}
