//! The SQL room at its boundary: projects in, diagnostics, schemas, lineage and rows out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tests are the edge of their own world.
#![allow(clippy::disallowed_methods)]

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
mod support;
mod values;
