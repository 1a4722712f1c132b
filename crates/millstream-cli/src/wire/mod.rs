//! What `--json` prints. These structs are the public format: they are converted by hand from the rooms' types
//! and only ever gain fields.

mod dataset;
mod error;
mod features;
mod lineage;
mod maintain;
mod plan;
mod problem;
mod query;
mod rejected;
mod run;
mod run_record;
mod status;
mod table_status;
mod test;

pub use dataset::{DatasetBuilt, DatasetEntry, DatasetListDocument};
pub use error::{ErrorBody, ErrorDocument};
pub use features::{
    FeatureDocument, FeatureListDocument, MaterializeDocument, MaterializedDocument, MaterializedView,
    OnDemandDocument, ServiceDocument, ViewDocument, ViewFailed, ViewStatisticsDocument,
};
pub use lineage::{AssetLineageDocument, LineageDocument, LineageStep, use_word};
pub use maintain::{MaintainDocument, MaintainedTable};
pub use plan::{Cause, PlanDocument, PlannedStep};
pub use problem::{CheckDocument, Problem};
pub use query::QueryDocument;
pub use rejected::{RejectedByCheck, RejectedDocument, RejectedRow};
pub use run::{CheckResult, RunEvent, RunSummary, StepResult};
pub use run_record::{RunDocument, RunStep};
pub use status::{AssetState, LastRun, StatusDocument};
pub use table_status::{LastStep, SchemaState, TableStatusDocument, VersionState};
pub use test::{TestChange, TestDocument, TestResult};
