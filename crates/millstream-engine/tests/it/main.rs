//! The engine at work in a world in memory: `harness` has the world, each other file the cases of one path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod assets;
mod build;
mod changed_contract;
mod checks;
mod conformance;
mod connections;
mod dataset;
mod events;
mod failing;
mod harness;
mod history;
mod history_rejected;
mod housekeeping;
mod kills;
mod landing;
mod landing_bounds;
mod landing_found;
mod landing_gone;
mod landing_merge;
mod leases;
mod maintain;
mod materialize;
mod needs;
mod partitions;
mod personal;
mod receipts;
mod recovery;
mod reload;
mod reprocess;
mod run;
mod scheduled;
mod scheduled_others;
mod schedules;
mod shop;
mod telling;
