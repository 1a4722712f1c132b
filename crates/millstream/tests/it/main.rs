//! The real binary on real projects: what it says, what it leaves behind and how it exits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;
mod demo_data;
mod evolution;
mod harness;
mod human;
mod init;
mod landing;
mod query;
mod readers;
mod recovery;
mod reference;
mod rejected;
mod run;
mod s3;
mod shop;
mod usage;
