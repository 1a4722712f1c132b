//! The room at its boundary: contracts, checks, rejected rows, table checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]
#![allow(clippy::disallowed_types, reason = "tests compute what they expect by the engine's own means")]

mod checks;
mod coerce_text;
mod coerce_typed;
mod conditions;
mod make;
mod oracle;
mod outcome;
mod rejected;
mod streams;
mod table_checks;
mod unique;
