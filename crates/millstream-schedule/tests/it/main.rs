//! Behaviour of the scheduler at its boundary, in simulated time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod away;
mod calendar;
mod catch_up;
mod cost;
mod cron;
mod elsewhere;
mod failures;
mod freshness;
mod harness;
mod order;
mod queue;
mod reload;
mod simulation;
mod sla;
mod sla_oracle;
mod time;
mod trigger;
