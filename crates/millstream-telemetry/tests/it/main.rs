//! Deliveries to receivers that behave and to those that do not, and the text of the figures.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod delivery;
mod metrics;
