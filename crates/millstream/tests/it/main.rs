//! The real binary on real projects: what it says, what it leaves behind and how it exits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arrivals;
mod bad_input;
mod check;
mod demo_data;
mod evolution;
mod faults;
mod harness;
mod human;
mod init;
mod kills;
mod landing;
mod places;
mod query;
mod readers;
mod recovery;
mod reference;
mod rejected;
mod run;
mod s3;
mod sequences;
mod shop;
mod usage;
