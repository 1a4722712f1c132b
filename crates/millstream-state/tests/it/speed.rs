//! Bounds that the engine's overhead per step is made of; the fastest of several tries, so that a busy machine
//! does not fail them.

use std::time::{Duration, Instant};

use millstream_state::{KnownPart, LandingUpdate, StepOutcome};
use millstream_types::SourceName;

use crate::world::{end, recorded, run, step, store};

fn fastest(tries: usize, mut work: impl FnMut(usize)) -> Duration {
    let timed = |number| {
        let started = Instant::now();
        work(number);
        started.elapsed()
    };
    (0..tries).map(timed).min().unwrap()
}

#[test]
fn a_step_is_recorded_in_a_fifth_of_a_millisecond() {
    let (_folder, state) = store();
    let recorded = recorded(1);
    let took = fastest(20, |round| {
        for number in 0..50 {
            let step = step(&run(1).run, &format!("silver.t{number}_{round}"), StepOutcome::Built);
            state.record_step(&end(&step, Some(&recorded))).unwrap();
        }
    });
    assert!(took / 50 <= Duration::from_micros(200), "{:?} for each step", took / 50);
}

#[test]
fn ten_thousand_parts_are_read_and_one_of_them_recorded_quickly() {
    let (_folder, state) = store();
    let source = SourceName::new("orders").unwrap();
    let part = |number: usize| KnownPart {
        id: format!("data/orders/2026/{number:06}.csv"),
        version: r#"{"size":123456,"mtime":1790000000,"hash":"0123456789abcdef"}"#.into(),
        position: 1_000,
    };
    let all: Vec<_> = (0..10_000).map(part).collect();
    state.record_landing(&source, &LandingUpdate { epoch: 1, next_sequence: 0, parts: &all }).unwrap();
    let one = fastest(10, |round| {
        let parts = [part(round)];
        state.record_landing(&source, &LandingUpdate { epoch: 2, next_sequence: 0, parts: &parts }).unwrap();
    });
    assert!(one <= Duration::from_millis(1), "{one:?} to record one");
    let read = fastest(5, |_| assert_eq!(state.landing(&source).unwrap().parts.len(), 10_000));
    assert!(read <= Duration::from_millis(30), "{read:?} to read all");
}
