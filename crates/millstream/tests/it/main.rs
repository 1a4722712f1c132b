//! The real binary on real projects: what it says, what it leaves behind and how it exits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod arrivals;
mod backfill;
mod bad_input;
mod check;
mod dataset;
mod dataset_delta;
mod dataset_encodings;
mod dataset_files;
mod dataset_labels;
mod dataset_splits;
#[cfg(unix)]
mod deploy;
mod endless;
mod events;
mod evolution;
mod faults;
mod features_cli;
mod features_golden;
mod features_meter;
mod features_nested;
mod features_replay;
mod features_rows;
mod features_shop;
mod features_small;
mod features_verify;
mod harness;
mod how_to;
mod human;
mod ingest;
mod init;
mod kept_records;
mod kills;
mod landing;
#[cfg(unix)]
mod living;
mod online_kills;
mod pipelines;
mod places;
mod query;
mod readers;
mod readonly;
mod recovery;
mod reference;
mod rejected;
mod run;
mod runs;
mod s3;
mod schedule;
mod secrets;
mod sequences;
mod serve_clients;
mod serve_jobs;
mod serve_kills;
mod serve_options;
mod serve_process;
mod serve_push;
#[cfg(feature = "redis")]
mod serve_redis;
mod serve_reload;
mod serve_schedule;
#[cfg(feature = "postgres")]
mod serve_shared;
mod serve_stop;
mod serve_tls;
mod serve_versions;
mod serve_watch;
mod sets;
mod shop;
mod side_by_side;
mod stale;
mod storm;
mod telling;
mod usage;
