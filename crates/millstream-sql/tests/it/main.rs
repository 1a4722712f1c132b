//! The SQL room at its boundary: projects in, diagnostics, schemas, lineage and rows out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_types, reason = "tests compute what they expect by the engine's own means")]

mod bounds;
mod cases;
mod checks;
mod features;
mod fingerprints;
mod incremental;
mod lineages;
mod overflow;
mod project_tests;
mod properties;
mod queries;
mod same_answers;
mod schemas;
mod stream;
mod support;
mod values;
