//! Contracts and checks: one vectorised pass over the rows, one aggregate query over the table.
//!
//! May touch: Arrow arrays and DataFusion expressions and scans. Must not: know the lake, the state store or
//! the engine, start threads, or read the clock (`now` is passed in).
//!
//! A [`Contract`] is compiled once and evaluates batches on any thread: it coerces each column to its type
//! (lossless or not at all), tests every row check and yields a bitmap per check that failed. Uniqueness spans
//! the whole table, so its verdict comes from a [`UniqueIndex`] that takes the evaluated batches in row order.
//! [`RejectedRows`] turns the rows that failed into the table of rejected rows, and [`restore`] takes them back.
//!
//! Adding a check: a file in `check/` that implements `RowCheck`, an arm in `check::compile`.

mod bitmap;
mod check;
mod codes;
mod coerce;
mod column;
mod contract;
mod error;
mod evaluated;
mod key;
mod key_set;
mod outcome;
mod rejected;
mod row_key;
mod table_check;
mod unique;

pub use codes::CODES;
pub use contract::{CheckInfo, Contract, ContractColumn, ContractOptions, StreamChecks, validate};
pub use error::{CheckProblem, QualityError};
pub use evaluated::{Evaluated, Failure};
pub use key_set::{KeySet, Relation, Relations, relations_of};
pub use outcome::{CheckCount, Tally, Verdict};
pub use rejected::{MALFORMED, RejectedRows, Restored, Sources, rejected_schema, restore, restore_apart};
pub use row_key::{RowKey, RowKeys};
pub use table_check::{TableCheckOutcome, VersionBefore, evaluate_table_checks};
pub use unique::UniqueIndex;
