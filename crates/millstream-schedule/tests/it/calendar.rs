//! Partitions of time: each instant lies in exactly one, and names are read back.

use millstream_schedule::{Calendar, CalendarError, PartitionGrain};
use millstream_types::TimestampMicros;
use proptest::prelude::*;

/// Zones with half hours, with gaps and repetitions at midnight, with a skipped day, and without any of these.
const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Asia/Beirut",
];

fn calendar(grain: PartitionGrain, zone: &str) -> Calendar {
    Calendar::new(grain, Some(zone)).unwrap()
}

proptest! {
    #[test]
    fn an_instant_lies_in_one_partition(
        seconds in -3_000_000_000_i64..5_000_000_000,
        zone in prop::sample::select(ZONES.to_vec()),
        grain in prop::sample::select(PartitionGrain::ALL.to_vec()),
    ) {
        let calendar = calendar(grain, zone);
        let at = TimestampMicros(seconds * 1_000_000 + 17);
        let number = calendar.number(at).unwrap();
        let (start, next) = (calendar.start(number).unwrap(), calendar.start(number + 1).unwrap());
        prop_assert!(start <= at && at < next, "{start:?} {at:?} {next:?}");
        // A day that the zone skipped has no instant, so that the partition before it begins where it does.
        let found = calendar.number(start).unwrap();
        prop_assert!(found == number || calendar.start(found) == Some(start));
    }

    #[test]
    fn labels_are_read_back(number in -900_000_i64..900_000, grain in prop::sample::select(PartitionGrain::ALL.to_vec())) {
        let number = match grain {
            PartitionGrain::Year => number % 1900,
            PartitionGrain::Month => number % 20_000,
            PartitionGrain::Week => number % 90_000,
            PartitionGrain::Day => number % 600_000,
            PartitionGrain::Hour => number,
        };
        let calendar = Calendar::new(grain, None).unwrap();
        let label = calendar.label(number);
        prop_assert_eq!(calendar.parse(&label).unwrap(), number, "{}", label);
    }
}

#[test]
fn days_begin_at_midnight_of_the_zone() {
    // The clock in Berlin was set forward in the night of 2024-03-31, which has 23 hours.
    let calendar = calendar(PartitionGrain::Day, "Europe/Berlin");
    let number = calendar.parse("2024-03-31").unwrap();
    let hours = (calendar.start(number + 1).unwrap().0 - calendar.start(number).unwrap().0) / 3_600_000_000;
    assert_eq!(hours, 23);
    assert_eq!(calendar.number(TimestampMicros(1_711_839_600_000_000)), Some(number));
    assert_eq!(calendar.number(TimestampMicros(1_711_839_599_999_999)), Some(number - 1));
}

#[test]
fn a_time_inside_of_a_partition_is_refused_with_its_neighbours() {
    let calendar = calendar(PartitionGrain::Month, "UTC");
    let error = calendar.parse("2024-02-15").unwrap_err();
    assert_eq!(error.hint(), "the partition that holds it begins at `2024-02`, the next one at `2024-03`");
    for wrong in ["", "24", "2024-13", "2024-1", "yesterday", "2024-02-30", "2024-01T05"] {
        assert!(matches!(calendar.parse(wrong), Err(CalendarError::Time { .. })), "{wrong}");
    }
    assert!(matches!(
        Calendar::new(PartitionGrain::Day, Some("Europe/Berln")),
        Err(CalendarError::Zone { .. })
    ));
}

#[test]
fn grains_consist_of_finer_ones() {
    use PartitionGrain::{Day, Hour, Month, Week, Year};
    assert!(
        Day.consists_of(Hour) && Year.consists_of(Month) && Week.consists_of(Day) && Day.consists_of(Day)
    );
    assert!(!Month.consists_of(Week) && !Year.consists_of(Week) && !Hour.consists_of(Day));
}
