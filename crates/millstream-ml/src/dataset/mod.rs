//! Training sets: label rows joined point-in-time with the features of a service.
//!
//! ```text
//!  label rows ──▶ spool ──┬───────────────────────────────┐
//!                         ▼                               ▼
//!  events of a view ──▶ join ──▶ answers by label ──▶ assemble ──▶ side, figures, leaks ──▶ Parquet + manifest
//!                    (parts, if too large)        (chunks of a fixed size)
//! ```
//!
//! Promises: each label row is in the output once, in its place, with its values and types untouched. The bytes of the data
//! file and of the manifest depend on the rows and the plan alone. Memory is bounded by [`Resources::memory_bytes`] and
//! what does not fit is spilled; a split by time keeps 8 bytes for each label row.

mod assemble;
mod build;
mod context;
mod cutter;
mod diff;
mod encode;
mod estimate;
mod examine;
mod hash;
mod join;
mod labels;
mod layout;
mod leakage;
mod manifest;
mod output;
mod partition;
mod plan;
mod progress;
mod scalar;
mod split;
mod statistics;
mod warning;
mod write;

pub use assemble::OnDemand;
pub use build::{Built, Events, Rows, build};
pub use diff::{
    ColumnDiff, DatasetDiff, DatasetFile, InputChange, MatchedRows, Retyped, RowDiff, Shift, diff,
};
pub use encode::FittedColumn;
pub use estimate::{Estimate, estimate};
pub use hash::file_blake3;
pub use layout::SPLIT;
pub use leakage::{Example, Finding, Leak};
pub use manifest::{
    ColumnType, DataFile, DatasetColumn, Definition, LabelDefinition, MANIFEST_VERSION, Manifest, Role,
};
pub use plan::{
    AsKnown, ColumnEncoding, DatasetPlan, InputVersion, LabelColumns, Resources, Shares, SplitBy, SplitPlan,
};
pub use progress::{Phase, Progress};
pub use scalar::Scalar;
pub use split::{Side, SideRows};
pub use statistics::{Bin, Category, ColumnStatistics, DistinctCount, Quantile, SAMPLE_ROWS, StatusCounts};
pub use warning::Warning;
pub use write::VERSION_KEY;
