//! Two processes that share the steps of a project, of which one is killed at any change that it makes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use millstream_engine::{Clock, DecisionKind};
use millstream_state::Moment;

use crate::{
    harness::{Line, World, block_on},
    scheduled::{HOUR, HOURLY, answered, decisions, every_hour, settled, until, world},
    scheduled_shared::start,
};

/// Lets a tick come to two processes, and waits until everything has followed.
async fn live_through_a_tick(world: &World, lines: [&Arc<Line>; 2]) {
    let state = world.state().await;
    let mut processes = Vec::new();
    for line in lines {
        let process = start(world, line, Duration::ZERO).await;
        let (line, abort) = (line.clone(), process.task.abort_handle());
        tokio::spawn(async move {
            line.died().await;
            abort.abort();
        });
        processes.push(process);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    settled(&state, world, "silver.events", 3).await;
    until("the tick is not answered", async || {
        answered(&state, "bronze.events", &every_hour()).await == world.clock.now()
    })
    .await;
    settled(&state, world, "silver.events", 3).await;
    until("offers stay", async || state.offers().await.unwrap().is_empty()).await;
    for process in processes {
        process.cancel.cancel();
        let _ = process.task.await;
    }
}

/// The changes that a process makes, by names that are the same each time.
fn changes(lines: [&Arc<Line>; 2]) -> BTreeSet<String> {
    let points = lines.into_iter().flat_map(|line| line.points());
    let is_named = |what: &str| what.starts_with("state: ") || what.contains("_delta_log/0");
    points.filter(|point| point.changes && is_named(&point.what)).map(|point| point.what).collect()
}

async fn starts_of_the_tick(world: &World) -> usize {
    let state = world.state().await;
    let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
    let is_first = |because: &&String| because.contains("every 1h") && !because.starts_with("interrupted");
    started.iter().filter(is_first).count()
}

#[test]
fn whichever_process_is_killed_at_any_change_no_tick_is_lost_and_none_doubled() {
    block_on(async {
        let origin = world(HOURLY);
        let process = start(&origin, &Line::quiet(), Duration::ZERO).await;
        settled(&origin.state().await, &origin, "silver.events", 2).await;
        process.stop().await;
        origin.clock.pass(HOUR);
        origin.definition.script.put("events", "b", "id\n3");
        let undisturbed = origin.fork();
        let before = starts_of_the_tick(&undisturbed).await;
        let (first, second) = (Line::quiet(), Line::quiet());
        live_through_a_tick(&undisturbed, [&first, &second]).await;
        assert_eq!(starts_of_the_tick(&undisturbed).await, before + 1);
        let changes = changes([&first, &second]);
        assert!(changes.len() > 8, "{changes:?}");
        let (mut killed, mut of_which_first) = (0, 0);
        for (at, what) in changes.iter().enumerate() {
            for is_first in [true, false] {
                let world = origin.fork();
                let moment = if (at % 2 == 0) == is_first { Moment::Before } else { Moment::After };
                let (line, quiet) = (Line::deadly(what, moment), Line::quiet());
                let lines = if is_first { [&line, &quiet] } else { [&quiet, &line] };
                live_through_a_tick(&world, lines).await;
                killed += usize::from(line.struck());
                of_which_first += usize::from(line.struck() && is_first);
                let place = format!("killed {moment:?} `{what}`");
                assert_eq!(world.rows("bronze.events").await.len(), 3, "{place}");
                assert_eq!(world.rows("silver.events").await.len(), 3, "{place}");
                assert_eq!(starts_of_the_tick(&world).await, before + 1, "{place}");
                let recorded = world.state().await.scheduled_assets().await.unwrap();
                assert!(recorded.iter().all(|asset| asset.running.is_none()), "{place}");
            }
        }
        // The second has less to do, and does not come to each change.
        assert!(of_which_first * 2 > changes.len() && killed > of_which_first, "{killed}, {of_which_first}");
    });
}
