//! The project's files as written: one serde type each, which also gives the JSON Schema.
//!
//! Nothing here is checked beyond its shape; the doc comments are what editors show.

mod check;
mod circuit;
mod dataset;
mod feature;
mod partition;
mod project;
mod schedule;
mod schema_text;
mod source;
mod steps;
mod stream;
mod table;
mod telemetry;
mod test;

pub(crate) use check::{
    CHECK_KINDS, CheckFile, ColumnsFile, CompletenessFile, ExpressionFile, FreshnessFile, LengthCheckFile,
    MeanFile, OneOfFile, PatternFile, QuantileFile, RangeCheckFile, RelationshipFile, RowCountFile,
};
pub(crate) use circuit::{CircuitFile, CircuitValue};
pub(crate) use dataset::{DatasetFile, LabelsFile, OutputFile, SplitFile};
pub(crate) use feature::{
    BoundFile, DecayFile, EntityFile, FEATURE_BESIDE, FEATURE_KINDS, FeatureBesideFile, FeaturesFile,
    HistogramFile, KFile, OfColumnFile, OnDemandFile, QuantileOfFile, RateFile, RatioFile, TrendFile,
    ViewFile, aggregations,
};
pub(crate) use partition::{ParameterFile, PartitionFile, PartitionWord};
pub(crate) use project::{DefaultsFile, EnvironmentFile, HousekeepingFile, ProjectFile, WebhookFile};
pub(crate) use schedule::ScheduleFile;
pub(crate) use source::{
    ColumnFile, ConnectorFile, ContractFile, SourceFile, SourceOfTablesFile, TableOfSourceFile,
};
pub(crate) use steps::{ProjectRetryFile, RetryFile, SlaFile};
pub(crate) use stream::{DeduplicateFile, StreamFile};
pub(crate) use table::{MaterializeFile, TableFile};
pub(crate) use telemetry::{OpenLineageFile, OtlpFile, PricesFile, TelemetryFile};
pub(crate) use test::{TestFile, TestsFile};

/// The words of a list of words with their descriptions.
const fn words<const N: usize>(described: [(&'static str, &'static str); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = described[at].0;
        at += 1;
    }
    words
}

/// A schema with the sentence that an editor shows. What stands behind a reference keeps its own sentence as well.
fn described(schema: schemars::Schema, about: &str) -> serde_json::Value {
    let mut schema = schema.to_value();
    schema["description"] = about.into();
    schema
}
