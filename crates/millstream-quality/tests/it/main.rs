//! The room at its boundary: contracts, checks, rejected rows, table checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]
// Tests are the edge of their own world.
#![allow(clippy::disallowed_methods)]

mod checks;
mod coerce_text;
mod coerce_typed;
mod conditions;
mod make;
mod oracle;
mod outcome;
mod rejected;
mod table_checks;
mod unique;
