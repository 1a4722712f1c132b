//! Behaviour at the room's boundary: real HTTP over loopback against a backend in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod arrow_answer;
mod backend;
mod backend_backfills;
mod backend_ingest;
mod backend_work;
mod backfills;
mod catalog;
mod client;
mod data;
mod errors;
mod feast;
mod feast_writes;
mod ingest;
mod jobs;
mod json_writer;
mod limits;
mod materialize;
mod openapi;
mod pipelines;
mod project;
mod push;
mod random;
mod read;
mod runs;
mod schedule;
mod shutdown;
mod signature;
mod stale;
mod tls;
mod types;
