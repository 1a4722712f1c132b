//! What `--json` prints, made by hand from the rooms' types. Structs that HTTP has too are those of [`millstream_api`]; the
//! others stand here. All are a public format and only ever gain fields.

mod backfill;
mod dataset;
mod error;
mod failures;
mod features;
mod figures;
mod ingest;
mod lineage;
mod maintain;
mod pipelines;
mod plan;
mod problem;
mod query;
mod rejected;
mod run;
mod run_record;
mod schedule;
mod status;
mod table_status;
mod test;

pub use dataset::{DatasetBuilt, DatasetEntry, DatasetListDocument};
pub use error::{ErrorBody, ErrorDocument};
pub use features::{MaterializeDocument, MaterializedView, ViewFailed, ViewStatisticsDocument};
pub(crate) use figures::total;
pub(crate) use ingest::IngestDocument;
pub use lineage::use_word;
pub use maintain::MaintainDocument;
pub use millstream_api::{
    catalog::{
        AssetLineageDocument, AssetState, LineageDocument, LineageStep, SchemaState, StatusDocument,
        TableStatusDocument, VersionState,
    },
    failures::{
        AsideState, ConnectionState, PromiseAnswer, RepairInfo, RepairsAnswer, ResumeAnswer, SlaAnswer,
    },
    features::{
        FeatureDocument, FeatureListDocument, MaterializedDocument, OnDemandDocument, ServiceDocument,
        ViewDocument,
    },
    figures::{Cost, Figures, Receipt, RunDiff, StepDiff},
    maintain::MaintainedTable,
    runs::{
        Cause, CheckResult, LastRun, LastStep, PlanDocument, PlannedStep, RunDetail, RunEvent, RunInfo,
        RunStep, RunSummary, RunsAnswer, StepResult,
    },
    schedule::{AssetSchedule, ScheduleDocument, Tick},
};
pub use problem::{CheckDocument, Problem};
pub use query::QueryDocument;
pub use rejected::{RejectedByCheck, RejectedDocument, RejectedRow};
pub(crate) use status::instant;
pub use test::{TestChange, TestDocument, TestResult};

/// A struct of the wire that is made of a room's value. `From` would do, were either of the two this crate's.
pub trait Of<T> {
    fn of(value: T) -> Self;
}
