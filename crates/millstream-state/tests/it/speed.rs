//! What the engine's overhead per step is made of; the fastest of several tries, so that a busy machine does not fail them. The bounds are a hundred
//! times the figures, which `cargo xtask bench` holds: here only what reads or writes everything for each step fails.

use std::time::{Duration, Instant};

use millstream_state::{KnownPart, LandingUpdate, StepOutcome};
use millstream_types::SourceName;

use crate::{
    place::Place,
    world::{end, recorded, run, step},
};

async fn fastest(tries: usize, mut work: impl AsyncFnMut(usize)) -> Duration {
    let mut fastest = Duration::MAX;
    for number in 0..tries {
        let started = Instant::now();
        work(number).await;
        fastest = fastest.min(started.elapsed());
    }
    fastest
}

#[tokio::test]
async fn a_step_is_recorded_quickly() {
    let place = Place::file();
    let state = place.open().await;
    let recorded = recorded(1);
    let took = fastest(20, async |round| {
        for number in 0..50 {
            let step = step(&run(1).run, &format!("silver.t{number}_{round}"), StepOutcome::Built);
            state.record_step(&end(&step, Some(&recorded))).await.unwrap();
        }
    })
    .await;
    println!("{:?} to record a step", took / 50);
    assert!(took / 50 <= Duration::from_millis(20), "{:?} for each step", took / 50);
}

#[tokio::test]
async fn ten_thousand_parts_are_read_and_one_of_them_recorded_quickly() {
    let place = Place::file();
    let state = place.open().await;
    let source = SourceName::new("orders").unwrap();
    let part = |number: usize| KnownPart {
        id: format!("data/orders/2026/{number:06}.csv"),
        version: r#"{"size":123456,"mtime":1790000000,"hash":"0123456789abcdef"}"#.into(),
        position: 1_000,
    };
    let all: Vec<_> = (0..10_000).map(part).collect();
    state.record_landing(&source, &LandingUpdate { epoch: 1, next_sequence: 0, parts: &all }).await.unwrap();
    let one = fastest(10, async |round| {
        let parts = [part(round)];
        state
            .record_landing(&source, &LandingUpdate { epoch: 2, next_sequence: 0, parts: &parts })
            .await
            .unwrap();
    })
    .await;
    assert!(one <= Duration::from_millis(100), "{one:?} to record one");
    let read =
        fastest(5, async |_| assert_eq!(state.landing(&source).await.unwrap().parts.len(), 10_000)).await;
    println!("{one:?} to record one of ten thousand parts, {read:?} to read all");
    assert!(read <= Duration::from_secs(3), "{read:?} to read all");
}
