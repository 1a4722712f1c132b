//! Executes a plan: order, retries, concurrency, cancel; lands sources and builds tables.
//!
//! May touch: the rooms below, connectors only by their trait. Must not: name a concrete connector, print,
//! or parse a project file.
//!
//! Every write follows one pattern: stage files, check the candidate version, commit once to the lake, record
//! in the state store afterwards. A crash between the last two is found again by the commit's own record
//! (see `reconcile.rs`).

mod check;
mod clock;
mod codes;
mod commit_info;
mod engine;
mod error;
mod event;
mod landing;
mod maintain;
mod observe;
mod publish;
mod reconcile;
mod rejected;
mod reprocess;
mod resolver;
mod run;
mod status;
mod stored;
mod stored_keys;
mod superseded;
mod table;
mod writers;

pub use check::{Checked, Project, check};
pub use clock::{Clock, SystemClock};
pub use codes::CODES;
pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
pub use event::{
    CheckReport, Event, MaintenanceReport, Observer, PlannedAsset, RunReport, StepOutcome, StepReport,
};
pub use maintain::MaintainRequest;
pub use rejected::{RejectedExample, RejectedGroup};
pub use run::{Ended, ExecuteOptions, RetryPolicy, RunRequest, StepExecutor, StepResult, execute};
pub use status::{AssetStatus, Status};
