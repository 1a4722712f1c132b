//! What survives between runs: runs and steps, what is recorded of each asset, the versions that readers take, how far each
//! source was landed, how far triggers were answered, steps that are offered, circuits, budgets of retries, promises, repairs, logs of steps, messages for receivers outside,
//! schema versions, check results, metrics, pins, versions of artifacts, reports of verifications, how housekeeping went; and
//! the leases by which processes keep out of each other's way. All of it is kept in a SQLite file or in a schema of a
//! PostgreSQL server.
//!
//! May touch: the state file or the server, and the files by which leases show that their holders live. Must not: decide
//! what runs, know the lake or a connector, or read a clock.
//!
//! The lake is the truth about data. SQLite's commits are not synced one by one (write-ahead log, `synchronous =
//! NORMAL`): after a power cut the last steps may be missing, but never half there, and the engine takes them from the
//! lake's own commits again.

mod artifact;
mod asset;
mod backfill;
mod breaker;
mod catalog;
mod check;
mod circuit;
mod codes;
mod database;
mod error;
mod figures;
mod forget;
mod holder;
mod housekeeping;
mod landing;
mod lease;
mod metric;
mod news;
mod offer;
mod outbox;
mod partition;
mod pin;
mod pipeline;
#[cfg(feature = "postgres")]
mod postgres;
mod pulse;
mod reload;
mod repair;
mod resumption;
mod run;
mod schedule;
mod set;
mod sla;
mod sqlite;
mod stale;
mod step;
mod step_log;
mod store;
mod value;
mod verification;
mod watch;

pub use artifact::{Artifact, NewArtifact, Sameness};
pub use asset::FoundAsset;
pub use backfill::{BackfillRecord, BackfillStatus};
pub use breaker::BreakerRecord;
pub use catalog::{NewSchema, SchemaVersion};
pub use check::CheckResult;
pub use codes::CODES;
pub use database::DatabaseError;
pub use error::StateError;
pub use figures::{Cost, Proof, Receipt, StepFigures};
pub use forget::{Forget, Forgotten};
pub use holder::{Holder, Mark};
pub use housekeeping::HousekeepingRecord;
pub use landing::{KnownPart, Landing, LandingUpdate};
pub use lease::{HeldLease, LeaseRequest, LeaseToken};
pub use metric::Metric;
pub use news::{NewsOfOffers, OfferNews};
pub use offer::{NewOffer, Offer, OfferChanges, OfferEnd, OfferId, OfferTerms, StepWorker, WebhookCalls};
pub use outbox::{Begun, Claim, Message, NewMessage};
pub use partition::{BrokenCheck, PartitionRecord, PartitionValues};
pub use pin::Pin;
pub use pipeline::PipelineRecord;
#[cfg(feature = "postgres")]
pub use postgres::PostgresFault;
pub use pulse::Pulse;
pub use reload::FailedReload;
pub use repair::{NewRepair, RepairAction, RepairRecord, RepairState};
pub use run::{RunEnd, RunFilter, RunOutcome, RunRecord, RunStart};
pub use schedule::{DecisionKind, LoggedDecision, ScheduleRecord};
pub use sla::SlaRecord;
pub use stale::{AsideSign, AssetSigns, PromiseSign, StaleSigns};
pub use step::{StepEnd, StepOutcome, StepRecord};
pub use step_log::{LogLevel, LogLine, StepLogLine};
pub use store::State;
pub use watch::{Moment, Watch};
