//! How many decisions a second the scheduler makes in a project of ten thousand assets, and what a tick costs while all are idle.
//!
//! `cargo run --release -p millstream-schedule --example decisions`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example tells what it found")]

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use millstream_schedule::{CatchUp, Decision, Ending, Limits, ScheduledAsset, Scheduler, Trigger};
use millstream_types::{AssetId, AssetVersion, Fingerprint, Span, TimestampMicros};

const LAYERS: usize = 10;
const WIDTH: usize = 1_000;
const ROUNDS: i64 = 20;
const MINUTE: i64 = 60_000_000;

fn main() {
    let assets: Vec<ScheduledAsset> =
        (0..LAYERS).flat_map(|layer| (0..WIDTH).map(move |at| asset(layer, at))).collect();
    let limits = Limits::of(NonZeroUsize::new(64).unwrap());
    let mut now = TimestampMicros(20_000 * 1_440 * MINUTE);
    let began = Instant::now();
    let (mut scheduler, decisions) = Scheduler::restore(assets, &limits, &[], now).unwrap();
    println!("restored {} assets in {:?}", LAYERS * WIDTH, began.elapsed());
    let (mut steps, mut made) = carry_out(&mut scheduler, decisions, now, 0);

    let began = Instant::now();
    for round in 1..=ROUNDS {
        now.0 += MINUTE;
        let decisions = scheduler.tick(now);
        let (started, told) = carry_out(&mut scheduler, decisions, now, round);
        (steps, made) = (steps + started, made + told);
    }
    let took = began.elapsed();
    let each = took / u32::try_from(steps).unwrap_or(u32::MAX);
    println!("{steps} steps, {made} decisions in {took:?}: {each:?} a step");

    let began = Instant::now();
    for _ in 0..1_000_000 {
        now.0 += 1;
        assert!(scheduler.tick(now).is_empty());
    }
    let idle: Duration = began.elapsed() / 1_000_000;
    println!("a tick while all are idle takes {idle:?}");
}

/// Sources tick each minute; every other asset reads three of the layer before.
fn asset(layer: usize, at: usize) -> ScheduledAsset {
    let inputs = match layer {
        0 => Vec::new(),
        _ => [at, (at * 7 + 1) % WIDTH, (at * 13 + 5) % WIDTH].map(|input| id(layer - 1, input)).to_vec(),
    };
    ScheduledAsset {
        id: id(layer, at),
        definition: Fingerprint::new([0; 32]),
        reads_outside: layer == 0,
        triggers: vec![if layer == 0 { Trigger::Every(Span::from_ms(60_000)) } else { Trigger::OnChange }],
        inputs,
        needs: BTreeMap::new(),
        catch_up: CatchUp::Latest,
        priority: 0,
        connection: None,
        pools: Vec::new(),
        circuit: None,
        set_aside_after: None,
        is_promised: false,
    }
}

fn id(layer: usize, at: usize) -> AssetId {
    AssetId::new(&format!("layer_{layer}.asset_{at}"))
}

/// Every step commits and ends well at once, until nothing runs. Gives the number of steps and of decisions.
fn carry_out(
    scheduler: &mut Scheduler,
    decisions: Vec<Decision>,
    now: TimestampMicros,
    round: i64,
) -> (usize, usize) {
    let (mut steps, mut made, mut running) = (0, 0, Vec::new());
    let mut take = |decisions: Vec<Decision>, running: &mut Vec<AssetId>| {
        made += decisions.len();
        for decision in decisions {
            if let Decision::Start(start) = decision {
                running.extend(start.steps.into_iter().map(|step| step.asset));
            }
        }
    };
    take(decisions, &mut running);
    while let Some(asset) = running.pop() {
        steps += 1;
        take(scheduler.committed(&asset, AssetVersion::numbered(round), now), &mut running);
        take(scheduler.ended(&asset, Ending::Well, Span::from_ms(1), now), &mut running);
    }
    (steps, made)
}
