//! A place that is away for an hour, by the clock of the world: few ask it meanwhile, it is told once, everything goes on by itself afterwards, and
//! whoever does not need the place notices nothing.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::{Clock, DecisionKind, Event, Heard, WorkChange, WorkEvent};
use millstream_state::State;

use crate::{
    harness::{Call, Definition, Harm, Line, World, block_on},
    scheduled::{Process, decisions, until},
};

const SHARED: &str = "
=== millstream.yaml
name: test
retry: {attempts: 3, base: 1ms, cap: 1ms}
=== connections/shelf.yaml
{type: scripted, password: hunter-of-shelves}
=== sources/orders.yaml
connector: {type: scripted, connection: shelf, place: orders}
schedule: every 1m
contract: {columns: {id: {type: int64, required: true}}}
=== sources/items.yaml
connector: {type: scripted, connection: shelf, place: items}
schedule: every 1m
contract: {columns: {id: {type: int64, required: true}}}
=== sources/prices.yaml
connector: {type: scripted, connection: shelf, place: prices}
schedule: every 1m
contract: {columns: {id: {type: int64, required: true}}}
=== sources/weather.yaml
connector: {type: scripted, place: weather}
schedule: every 1m
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/joined.sql
SELECT o.id FROM bronze.orders o JOIN bronze.items i USING (id)
=== tables/silver/weather.sql
SELECT id FROM bronze.weather
";

/// The places behind the connection.
const PLACES: [&str; 3] = ["orders", "items", "prices"];

const MINUTES: i64 = 60;

/// What may be asked of a place that is away for an hour. Its circuit opens after five attempts in a row, while at most the other sources
/// begin theirs, and is probed after 30 seconds, one minute, two, four, eight, and then each ten minutes: ten times. An attempt is a look,
/// and one more when the step begins.
const ASKED_MAX: usize = 2 * (5 + PLACES.len() + 10);

/// Lets a minute pass in small pieces, each of which is seen to its end.
async fn pass_a_minute(process: &Process, world: &World, line: &Arc<Line>) {
    for _ in 0..4 {
        process.pass(world, 15);
        at_rest(line).await;
    }
}

/// Waits until nothing is touched any more.
async fn at_rest(line: &Line) {
    let mut before = usize::MAX;
    until("it never rests", async || {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let touched = line.points().len();
        std::mem::replace(&mut before, touched) == touched
    })
    .await;
}

fn asked(line: &Line) -> usize {
    // That nothing new is durable is told to a place without asking it.
    let asks = |what: &str| what.starts_with("source: ") && !what.starts_with("source: Acknowledge");
    let of_shelf = |what: &str| PLACES.iter().any(|place| what.contains(&format!(" {place} ")));
    line.points().iter().filter(|point| asks(&point.what) && of_shelf(&point.what)).count()
}

async fn rows(world: &World, names: &[&str]) -> Vec<usize> {
    let mut rows = Vec::new();
    for name in names {
        rows.push(world.rows(&format!("bronze.{name}")).await.len());
    }
    rows
}

async fn started(state: &State, asset: &str) -> usize {
    decisions(state, asset, DecisionKind::Started).await.len()
}

/// Keeps every alarm and all-clear: what it is about, whether it is over, and its words.
fn alarms(process: &Process) -> Arc<Mutex<Vec<(String, bool, String)>>> {
    let alarms = Arc::<Mutex<Vec<_>>>::default();
    let (kept, mut heard) = (alarms.clone(), process.engine.events().subscribe());
    tokio::spawn(async move {
        while let Some(told) = heard.hear().await {
            match told {
                Heard::Change(WorkEvent { change: WorkChange::Told(event), .. }) => {
                    if let Event::Alarm { about, message, is_over } = &*event {
                        kept.lock().unwrap().push((about.clone(), *is_over, message.clone()));
                    }
                }
                Heard::Change(_) => {}
                Heard::Missed(missed) => panic!("{missed} events were missed"),
            }
        }
    });
    alarms
}

#[test]
fn a_place_that_is_away_for_an_hour_is_asked_seldom_and_told_of_once() {
    block_on(async {
        let mut world = World::new(Definition::of(SHARED));
        world.concurrency = NonZeroUsize::new(4).unwrap();
        let script = world.definition.script.clone();
        for place in PLACES.iter().chain(&["weather"]) {
            script.put(place, "a", "id\n1");
        }
        let line = Line::quiet();
        let process = Process::start(&world, &line).await;
        let state = world.state().await;
        let heard = alarms(&process);
        until("nothing is built", async || {
            rows(&world, &["orders", "items", "prices", "weather"]).await == [1; 4]
        })
        .await;
        at_rest(&line).await;

        for place in PLACES {
            script.put(place, "b", "id\n2");
            for call in [Call::Discover, Call::Describe, Call::Read] {
                script.fail(place, call, Harm::Passing, 1_000);
            }
        }
        let (before, weather) = (asked(&line), started(&state, "silver.weather").await);
        for minute in 0..MINUTES {
            script.put("weather", &format!("m{minute}"), "id\n5");
            pass_a_minute(&process, &world, &line).await;
        }
        let asked_meanwhile = asked(&line) - before;
        assert!((10..=ASKED_MAX).contains(&asked_meanwhile), "it was asked {asked_meanwhile} times");
        // Who does not need the place has had each of its ticks.
        assert_eq!(rows(&world, &["weather"]).await, [61]);
        assert_eq!(started(&state, "silver.weather").await - weather, 60);
        assert_eq!(world.rows("silver.weather").await.len(), 61);

        PLACES.iter().for_each(|place| script.calm(place));
        // The longest wait between two probes is ten minutes.
        for _ in 0..11 {
            pass_a_minute(&process, &world, &line).await;
        }
        assert_eq!(
            rows(&world, &PLACES).await,
            [2; 3],
            "it does not go on by itself at {:?}",
            world.clock.now()
        );
        assert_eq!(world.rows("silver.joined").await.len(), 2);
        assert!(state.circuits().await.unwrap().is_empty());
        assert!(process.engine.aside().await.unwrap().is_empty());

        let alarms = heard.lock().unwrap().clone();
        let told: Vec<_> = alarms.iter().map(|(about, is_over, _)| (about.as_str(), *is_over)).collect();
        assert_eq!(told, [("shelf", false), ("shelf", true)], "{alarms:?}");
        process.stop().await;
    });
}
