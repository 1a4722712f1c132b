//! Instants as text.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use millstream_types::TimestampMicros;

/// The instant of an RFC 3339 text.
pub(crate) fn at(text: &str) -> TimestampMicros {
    TimestampMicros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

/// The instant by the clock of the wall in that zone, with its offset from UTC.
pub(crate) fn wall(instant: TimestampMicros, zone: &str) -> String {
    let zone: Tz = zone.parse().unwrap();
    let time = DateTime::<Utc>::from_timestamp_micros(instant.0).unwrap().with_timezone(&zone);
    time.format("%a %Y-%m-%d %H:%M:%S %:z").to_string()
}
