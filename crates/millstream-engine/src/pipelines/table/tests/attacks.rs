//! Harm at every touch of the lake: a fault that passes, one that stays, the death of the process, before the touch takes effect and after.

use std::sync::Arc;

use millstream_state::Moment;

use super::{
    World, cases,
    line::{Harm, Injection, Line},
    scripted::{Scripted, Stages},
};

/// How many points of each path are taken.
const SAMPLES: usize = 40;

async fn check(stages: Stages, header: &'static str) {
    let flow: Arc<Scripted> = cases::flow(stages, 40, 5);
    let undisturbed = World::new(header);
    let line = Line::quiet();
    undisturbed.catch_up(&flow, &line).await.unwrap();
    let (expected, points) = (undisturbed.contents().await, line.points());
    let step = (points.len() / SAMPLES).max(1);
    for (at, point) in points.iter().enumerate().step_by(step) {
        let moments = if point.changes { &[Moment::Before, Moment::After][..] } else { &[Moment::Before] };
        for moment in moments {
            for harm in [Harm::Passing, Harm::Lasting, Harm::Death] {
                let injection = Injection { at, moment: *moment, harm };
                let world = World::new(header);
                let harmed = Line::harmed(injection);
                let ended = world.catch_up(&flow, &harmed).await;
                assert!(harm != Harm::Death || ended.is_err(), "{injection} at {}", point.what);
                world
                    .catch_up(&flow, &Line::quiet())
                    .await
                    .unwrap_or_else(|error| panic!("{injection} at {}: {error:?}", point.what));
                assert_eq!(world.contents().await, expected, "{injection} at {}", point.what);
            }
        }
    }
}

#[tokio::test]
async fn rows_survive_harm() {
    check(cases::rows, cases::CHECKED).await;
}

#[tokio::test]
async fn late_rows_survive_harm() {
    check(cases::tumbling, "").await;
}

#[tokio::test]
async fn rows_that_take_the_place_of_others_survive_harm() {
    check(cases::corrected, "").await;
    check(cases::sessions, "").await;
}
