//! Executes a plan: order, retries, concurrency, cancel; lands sources and builds tables.
//!
//! May touch: the rooms below, connectors only by their trait. Must not: name a concrete connector, print,
//! or parse a project file.
//!
//! Every write follows one pattern: stage files, check the candidate version, commit once to the lake, record
//! in the state store afterwards. A crash between the last two is found again by the commit's own record
//! (see `reconcile.rs`).

// The harness of the tests in `tests/it` names this crate as others do.
#[cfg(test)]
extern crate self as millstream_engine;

mod assets;
mod audit;
mod blocking;
mod breaker;
mod check;
mod clock;
mod codes;
mod commit_info;
mod cost;
mod engine;
mod error;
mod event;
mod failure;
mod features;
mod freshness;
mod history;
mod housekeeping;
mod intake;
mod intake_status;
mod judge;
mod lease;
mod live_rows;
mod machine;
mod maintain;
mod measure;
mod observe;
mod personal;
mod pinning;
mod pipelines;
mod process;
mod publish;
mod queries;
mod random;
mod receipt;
mod reconcile;
mod rejected;
mod rejudge;
mod reload;
mod repairs;
mod reprocess;
mod resolver;
mod run;
mod scheduled;
mod sets;
mod source_rows;
mod spill;
mod staleness;
mod status;
mod step_log;
mod stored;
mod stored_keys;
mod stores;
mod superseded;
mod telemetry;
mod turn;
mod writers;

pub use assets::dataset::{BuiltDataset, DatasetReport, DatasetRequest, DeltaVersion, FileState};
pub use assets::{
    feature_view::{
        Keeper, LogProgress, MaterializeFailure, MaterializeMode, MaterializeReport, MaterializeRequest,
        Materialized, Offsets, Progress,
    },
    service::versions::ServedVersion,
    table::partitions::{
        BackfillPreview, BackfillReport, BackfillRequest, BackfillWish, BrokenPartition, PARTITIONS_MAX,
        PartitionOverview, PartitionRange,
    },
};
pub use check::{Checked, Project, check};
pub use clock::{Clock, SystemClock};
pub use codes::CODES;
pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
pub use event::{
    CheckReport, Event, EventBus, Heard, MaintenanceReport, Observer, PlannedAsset, Publisher, RunReport,
    StepProgress, StepReport, Subscription, Work, WorkChange, WorkEvent, WorkId,
};
pub use failure::{ConnectionStatus, ErrorClass, PromiseStatus, RetriesStatus};
pub use features::{
    Difference, DifferenceExample, FeatureEntry, FeatureList, FeatureMatch, FeatureServer, OnDemandEntry,
    PushTo, ReadColumn, Readable, ReadableName, ServiceEntry, VerifyReport, VerifyRequest, ViewEntry,
    ViewStatistics,
};
pub use housekeeping::{
    COMMAND as HOUSEKEEPING, HousekeepingAlarm, HousekeepingReport, HousekeepingStatus, ToldAlarms,
};
pub use intake::{
    Door, EventBody, EventFault, EventFormat, EventRows, EventRules, Events, FAULTS_MAX, Generators, IntakeError,
    IntakeFailure, SourceIntake, TakenEvents, TakenRange, read_events,
};
pub use intake_status::IntakeStatus;
pub use machine::memory_share;
pub use maintain::{MaintainRequest, Maintenance};
pub use millstream_schedule::PartitionGrain;
pub use millstream_state::{
    BackfillRecord, BackfillStatus, BreakerRecord, DecisionKind, Forgotten, LoggedDecision, Pulse,
    RepairAction, RepairRecord, RepairState, StepOutcome,
};
pub use pipelines::{
    FollowedRows, FollowedTable, PipelineChange, PipelineSeen, PipelineState, PipelineStatus, PipelineTold,
    Pipelines,
};
pub use queries::{Queries, QueryFreshness, QueryRows, QueryThreads};
pub use random::{Random, SystemRandom};
pub use rejected::{RejectedExample, RejectedGroup};
pub use run::{
    ExecuteOptions, NextAttempt, RetryPolicy, RunRequest, StepExecutor, StepResult, StepRules, execute,
};
pub use scheduled::{KeepOptions, Outlook, Scheduling, SharedSteps, TriggerError};
pub use sets::ReadSet;
pub use staleness::{Stale, StaleAssets, StaleCause, StaleWatch, Unreadable};
pub use status::{AssetStatus, Status};
pub use step_log::log_line;
pub use stores::{Log, Online, Stores};
pub use telemetry::{Sending, TelemetryStatus};
