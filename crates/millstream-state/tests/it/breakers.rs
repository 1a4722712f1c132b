//! The breakers of streaming sources: one record for each, open until somebody closes it or the source is defined otherwise.

use millstream_state::BreakerRecord;
use millstream_types::{SourceName, TimestampMicros};

use crate::place::{Place, on_each_database};

on_each_database! {
    a_breaker_is_recorded_once_until_it_is_closed,
}

fn clicks() -> SourceName {
    SourceName::new("clicks").unwrap()
}

fn breaker(definition: &str, at: i64) -> BreakerRecord {
    BreakerRecord {
        source: clicks(),
        definition: definition.to_owned(),
        opened: TimestampMicros(at),
        rows: 100,
        rejected: 7,
        halt_above: "5%".to_owned(),
        examples: "7 of 100 rows were rejected".to_owned(),
        resumed: None,
    }
}

async fn a_breaker_is_recorded_once_until_it_is_closed(place: Place) {
    let state = place.open().await;
    assert_eq!(state.breaker(&clicks()).await.unwrap(), None);
    assert!(!state.close_breaker(&clicks(), TimestampMicros(1)).await.unwrap(), "it never opened");
    assert!(state.open_breaker(&breaker("a", 5)).await.unwrap());
    assert!(!state.open_breaker(&breaker("a", 6)).await.unwrap(), "it is open");
    let state = place.open().await;
    assert_eq!(state.open_breakers().await.unwrap(), [breaker("a", 5)]);
    assert!(!breaker("a", 5).is_open("b"), "another definition closes it");
    assert!(state.open_breaker(&breaker("b", 7)).await.unwrap(), "and may open it again");
    assert!(state.close_breaker(&clicks(), TimestampMicros(9)).await.unwrap());
    let closed = BreakerRecord { resumed: Some(TimestampMicros(9)), ..breaker("b", 7) };
    assert_eq!(state.breaker(&clicks()).await.unwrap(), Some(closed));
    assert!(state.open_breakers().await.unwrap().is_empty());
    assert!(state.open_breaker(&breaker("b", 11)).await.unwrap(), "what was closed may open again");
}
