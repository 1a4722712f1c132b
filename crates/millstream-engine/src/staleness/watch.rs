//! Staleness for somebody who asks all the time: everything is read anew only when something has happened, and tables are looked at
//! now and then.

use futures::future::BoxFuture;
use millstream_state::Pulse;
use millstream_types::TimestampMicros;

use super::{StaleAssets, looked::Looked};
use crate::{Engine, EngineError};

/// What time alone changes, such as a lease of a process that died, is found after so many microseconds.
const JUDGED_MAX: i64 = 30_000_000;

/// The ages of rows are looked at after so many microseconds.
const AGED_MAX: i64 = 60_000_000;

/// Tables are opened, to see whether they can be, after so many microseconds. In a bucket that costs a request for each.
const OPENED_MAX: i64 = 300_000_000;

/// What was seen the last times.
#[derive(Debug, Default)]
pub struct StaleWatch {
    pulse: Option<Pulse>,
    judged: Option<TimestampMicros>,
    aged: Option<TimestampMicros>,
    opened: Option<TimestampMicros>,
    looked: Looked,
}

impl Engine {
    /// The assets that are stale by now; `None` where nothing has happened since `watch` was asked last. A `watch` is of one project.
    pub fn stale_news<'a>(
        &'a self,
        watch: &'a mut StaleWatch,
    ) -> BoxFuture<'a, Result<Option<StaleAssets>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let now = world.options.clock.now();
            let pulse = world.state.pulse().await?;
            let has_happened = watch.pulse.as_ref() != Some(&pulse);
            let looked = self.look_again(watch, has_happened, now).await?;
            let is_news = has_happened || looked != watch.looked || is_due(watch.judged, JUDGED_MAX, now);
            if !is_news {
                return Ok(None);
            }
            let stale = world.judge(&looked).await?;
            (watch.looked, watch.pulse, watch.judged) = (looked, Some(pulse), Some(now));
            Ok(Some(stale))
        })
    }

    /// Looks at the tables for which it is time, and at those with which something was wrong when something has happened.
    async fn look_again(
        &self,
        watch: &mut StaleWatch,
        has_happened: bool,
        now: TimestampMicros,
    ) -> Result<Looked, EngineError> {
        let (world, mut looked) = (self.world(), watch.looked.clone());
        let (ages, opens) = (is_due(watch.aged, AGED_MAX, now), is_due(watch.opened, OPENED_MAX, now));
        if ages || (has_happened && !looked.too_old.is_empty()) {
            let again = looked.too_old.keys().cloned().collect();
            looked.too_old = world.too_old((!ages).then_some(&again)).await;
        }
        if opens || (has_happened && !looked.unreadable.is_empty()) {
            let again = looked.unreadable.keys().cloned().collect();
            looked.unreadable = world.unreadable((!opens).then_some(&again)).await?;
        }
        if ages {
            watch.aged = Some(now);
        }
        if opens {
            watch.opened = Some(now);
        }
        Ok(looked)
    }
}

/// Whether it is time again. A clock that was put back makes everything due.
fn is_due(last: Option<TimestampMicros>, after: i64, now: TimestampMicros) -> bool {
    last.is_none_or(|last| now < last || now.0.saturating_sub(last.0) >= after)
}
