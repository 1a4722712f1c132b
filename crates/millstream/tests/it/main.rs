//! The real binary on real projects: what it says, what it leaves behind and how it exits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;
mod demo_data;
mod harness;
mod human;
mod init;
mod query;
mod reference;
mod run;
mod shop;
mod usage;
