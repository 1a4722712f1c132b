//! SQL tables: what they read, whether they plan, where their columns come from, and how they run.
//!
//! May touch: DataFusion, the spec types of the project, memory and a spill folder.
//! Must not: read the project's files, know where the lake keeps a table (a [`TableResolver`] says), or write
//! anywhere.
//!
//! [`analyze`] is pure and works offline: it plans every table against the contracts alone. [`SqlSession`]
//! runs plans over real tables. [`features`] does both for feature views, services and datasets.

mod analyze;
mod catalog;
mod codes;
mod condition;
mod dialect;
mod distinct;
mod duplicates;
mod explain;
pub mod features;
mod fingerprint;
mod growth;
pub mod incremental;
mod keep_types;
mod lineage;
mod microseconds;
mod nearest;
mod overflow;
mod parameters;
mod parse;
mod place;
mod planner;
mod project_test;
mod row_by_row;
mod scalar_names;
mod schema;
mod session;
mod size;
pub mod stream;
mod time_zone;
mod type_name;
mod walk;
mod with;

pub use analyze::{Analysis, TableAnalysis, analyze, analyze_streams};
pub use catalog::{ProjectTable, VALID_FROM, VALID_TO, rejected_schema, source_schema};
pub use codes::CODES;
pub use condition::{Condition, condition};
pub use lineage::{
    ColumnInputs, ColumnRef, Direct, Indirect, LineageEdge, LineageGraph, LineageReport, TableLineage, Use,
    lineage,
};
pub use project_test::{ChangedCell, ChangedRow, TestOutcome, TestRow, Verdict, check_test, run_test};
pub use row_by_row::{RowByRow, row_by_row};
pub use schema::{StorableError, conform, conform_stream, storable_schema, storable_type};
pub use session::{
    At, QueryPlace, Resolved, SessionOptions, SqlError, SqlSession, TableResolver, arrow_without_values,
    without_values,
};
pub use type_name::type_name;
