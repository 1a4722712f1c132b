//! The room's boundary: folders in, specs and diagnostics out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod any_input;
mod connections;
mod connector_options;
mod diagnostics;
mod features;
mod landing;
mod project;
mod schedules;
mod schema;
mod scratch;
mod secrets;
mod spec;
mod speed;
mod streams;
mod tables;
