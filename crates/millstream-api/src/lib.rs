//! What goes over the wire: the bodies of HTTP and what `--json` prints, each written once, described for OpenAPI by the same
//! struct, one file for each area.
//!
//! These structs are the public format: they are made by hand from the values of other rooms, and only ever gain fields.
//!
//! May touch: nothing. Must not: know another room, or hold behaviour.

pub mod backfills;
pub mod catalog;
mod columns;
pub mod datasets;
pub mod error;
pub mod failures;
pub mod feast;
pub mod features;
pub mod figures;
pub mod housekeeping;
pub mod ingest;
pub mod jobs;
pub mod maintain;
pub mod pipelines;
pub mod process;
pub mod project;
pub mod query;
pub mod runs;
pub mod schedule;

pub use columns::Columns;
