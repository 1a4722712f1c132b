//! Datasets: labels joined point-in-time with features, written, recorded, and their inputs pinned.

mod build;
mod compare;
pub(crate) mod encodings;
mod estimate;
mod labels;
mod output;
mod plan;
mod record;

pub use build::{DatasetProgress, DatasetReport, DatasetRequest};
pub use output::DeltaVersion;
pub(crate) use record::manifest;
pub use record::{BuiltDataset, FileState};
