//! Continuous tables: windows, joins and deduplication over rows that keep coming, as pure state machines.
//!
//! May touch: Arrow, the aggregations of the feature language. Must not: do IO, read a clock, start a thread, know SQL, a log or
//! the lake, or let a result depend on how its input was cut into batches.
//!
//! The way through: [`PipelineBuilder`] puts stages together, from [`SourceDefinition`]s over [`MapDefinition`]s with the caller's
//! expressions, [`DeduplicateDefinition`]s and [`JoinDefinition`]s to a [`WindowDefinition`] with its [`Aggregate`]s. The [`Pipeline`]
//! takes rows in and gives [`Output`]s. The caller commits what they say together with the positions of the rows that were pushed, and keeps
//! [`Pipeline::changes`] beside them in one atomic batch.
//!
//! ```text
//! let mut builder = PipelineBuilder::new();
//! let orders = builder.source(&SourceDefinition::new("orders", schema, "ordered_at"))?;
//! builder.window(orders, &per_minute)?;
//! let mut pipeline = builder.build()?;
//! pipeline.restore_entries(store.entries())?;         // if there are any
//! loop {
//!     let (partition, offset, appended_at, rows) = log.read()?;
//!     pipeline.push(orders, partition, appended_at, rows)?;
//!     while let Some(output) = pipeline.next_output()? {
//!         apply(output);
//!     }
//!     store.write(pipeline.changes()?, offset)?;      // not after each batch: when a commit is due
//! }
//! ```
//!
//! # What holds
//!
//! - A result is a function of the rows that are on time: neither their cut into batches, nor their order within the disorder, nor how partitions
//!   were interleaved can change a bit of it. Windows and deduplication give the same rows in the same order; a join gives the same rows.
//! - Without an allowed lateness a row is told once and never changes. With one, the table that results from merging by key is that of all rows that
//!   were on time or late within it.
//! - No row goes without a word: it takes part, or it comes out as [`Refused`] with its reason; what a filter or a deduplication leaves out is counted.
//! - A row from the future moves nothing. Bounded input closes its last windows.
//! - A restored pipeline gives what the one that wrote the state would have given, bit by bit.
//! - State is what is open: keys, windows and rows go when no row can change anything about them.
//! - Outputs are computed when they are taken, in batches; between two of them memory holds the state and one unfinished output of each stage.
//!
//! The semantics, and how they differ from those of other stream processors, are decided in `docs/decisions/0027`.

mod aggregate;
mod codes;
mod deduplicate;
mod error;
mod event;
mod held;
mod join;
mod key;
mod map;
mod operator;
mod ordered;
mod pipeline;
mod source;
mod state;
mod time;
mod watermark;
mod window;

pub use aggregate::{Aggregate, Function, Ties};
pub use codes::CODES;
pub use deduplicate::DeduplicateDefinition;
pub use error::StreamError;
pub use event::{Output, Refused, RefusedReason};
pub use join::{Distance, JoinDefinition, JoinKind};
pub use map::{Expression, MapDefinition};
pub use pipeline::{Pipeline, PipelineBuilder, PipelineFigures, StageFigures, StageId};
pub use source::{GRAIN, PARTITIONS_MAX, SourceDefinition};
pub use state::StateChange;
pub use time::{TIME_MAX, TIME_MIN};
pub use window::{PANES_MAX, WINDOW_END, WINDOW_START, Window, WindowDefinition};
