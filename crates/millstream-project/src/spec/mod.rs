//! The project as meant: checked, defaults filled, every part with its place in the files.

mod check;
mod dataset;
mod environment;
mod feature;
mod source;
mod table;
mod test;

pub use check::{Bounds, CheckKind, CheckSpec, NamedPattern, Pattern, Scalar};
pub use dataset::{
    AsKnown, DatasetFeatures, DatasetSpec, EncodeSpec, LabelOrigin, LabelsSpec, OutputFormat, OutputSpec,
    SplitBy, SplitSpec,
};
pub use environment::{EnvironmentSpec, OnlineLocation, StateLocation};
pub use feature::{
    AggregateSpec, EntitySpec, FeatureRef, FeatureSpec, FeatureValue, FeatureViewSpec, FeaturesSpec,
    OnDemandSpec, RequestSpec, ServiceSpec,
};
pub use source::{ColumnSpec, ConnectorSpec, ContractSpec, Evolution, LandingMode, ScheduleSpec, SourceSpec};
pub use table::{Grain, IncrementalSpec, Materialize, TableSpec};
pub use test::{TestInput, TestSpec};

use std::path::PathBuf;

use crate::SourceMap;

/// A whole project in one environment.
#[derive(Debug)]
pub struct ProjectSpec {
    /// The folder of `millstream.yaml`.
    pub root: PathBuf,
    pub name: String,
    pub environment: EnvironmentSpec,
    /// In the order of their names.
    pub sources: Vec<SourceSpec>,
    /// In the order of their names.
    pub tables: Vec<TableSpec>,
    pub tests: Vec<TestSpec>,
    /// Everything of `features/`.
    pub features: FeaturesSpec,
    /// In the order of their names.
    pub datasets: Vec<DatasetSpec>,
    /// The texts of all files, for messages.
    pub files: SourceMap,
}
