//! Features: what there is, bringing it into the online store, reading it, and comparing what was served with the lake.

mod chunks;
mod encoded;
mod keys;
mod list;
mod materialize;
mod progress;
mod pushed;
mod remove;
pub(crate) mod rows;
mod served;
mod server;
pub(crate) mod services;
mod statistics;
mod verify;

pub use list::{FeatureEntry, FeatureList, OnDemandEntry, ServiceEntry, ViewEntry};
pub use materialize::{
    MaterializeFailure, MaterializeMode, MaterializeProgress, MaterializeReport, MaterializeRequest,
    Materialized,
};
pub use progress::Progress;
pub use pushed::PushTo;
pub use server::{FeatureServer, ReadColumn, Readable, ReadableName};
pub use services::ServedVersion;
pub use statistics::ViewStatistics;
pub use verify::{Difference, DifferenceExample, FeatureMatch, VerifyReport, VerifyRequest};
