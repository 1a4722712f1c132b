//! Random projects.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU32, NonZeroUsize},
};

use millstream_schedule::{CatchUp, Limits, ScheduledAsset, Trigger};
use millstream_types::{AssetId, CheckId, Fingerprint, Span};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// The checks by which steps are halted.
pub(super) const CHECKS: [&str; 2] = ["one", "two"];

pub(super) const MINUTE: i64 = 60_000_000;

#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) assets: Vec<ScheduledAsset>,
    pub(super) limits: Limits,
}

impl Project {
    pub(super) fn random(rng: &mut SmallRng) -> Self {
        let count = rng.random_range(1..=12);
        let mut assets = Vec::new();
        for place in 0..count {
            let asset = asset(rng, place, &assets);
            assets.push(asset);
        }
        Self { assets, limits: limits(rng) }
    }

    /// The same project after some hours of somebody's work.
    pub(super) fn changed(&self, rng: &mut SmallRng) -> Self {
        let mut assets: Vec<ScheduledAsset> = Vec::new();
        for (place, before) in self.assets.iter().enumerate() {
            let is_used = |asset: &ScheduledAsset| names(asset).contains(&&before.id);
            match rng.random_range(0..10) {
                0 if !self.assets.iter().any(is_used) => {}
                1 => {
                    let mut changed = asset(rng, place, &assets);
                    (changed.id, changed.reads_outside) = (before.id.clone(), changed.inputs.is_empty());
                    assets.push(changed);
                }
                2 => {
                    let mut changed = before.clone();
                    changed.triggers = triggers(rng, &assets, changed.reads_outside);
                    assets.push(changed);
                }
                3 => assets.push(ScheduledAsset { definition: fingerprint(rng), ..before.clone() }),
                _ => assets.push(before.clone()),
            }
        }
        if assets.is_empty() || rng.random_bool(0.3) {
            let place = rng.random_range(20..24);
            let asset = asset(rng, place, &assets);
            if assets.iter().all(|known| known.id != asset.id) {
                assets.push(asset);
            }
        }
        Self { assets, limits: limits(rng) }
    }
}

/// The assets that set this one off.
fn names(asset: &ScheduledAsset) -> Vec<&AssetId> {
    let after = asset.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::After(after) => Some(after),
        _ => None,
    });
    asset.inputs.iter().chain(after).collect()
}

fn asset(rng: &mut SmallRng, place: usize, before: &[ScheduledAsset]) -> ScheduledAsset {
    let is_source = before.is_empty() || rng.random_bool(0.3);
    let count = if is_source { 0 } else { rng.random_range(1..=before.len().min(3)) };
    let connection = rng.random_bool(0.4).then(|| format!("c{}", rng.random_range(0..3)));
    let own = || format!("source:a.{place}");
    let circuit = is_source.then(|| connection.clone().unwrap_or_else(own));
    let inputs: Vec<AssetId> = before.choose_multiple(rng, count).map(|asset| asset.id.clone()).collect();
    let definition = fingerprint(rng);
    let needs = needs(&inputs, definition);
    ScheduledAsset {
        id: AssetId::new(&format!("a.{place}")),
        definition,
        reads_outside: is_source,
        triggers: triggers(rng, before, is_source),
        needs,
        inputs,
        catch_up: *[CatchUp::Latest, CatchUp::Latest, CatchUp::All, CatchUp::None].choose(rng).unwrap(),
        priority: rng.random_range(-2..=2),
        connection,
        circuit,
        set_aside_after: rng.random_bool(0.5).then(|| NonZeroU32::new(rng.random_range(1..=4)).unwrap()),
        is_promised: rng.random_bool(0.2),
        pools: (0..2).filter(|_| rng.random_bool(0.2)).map(|pool| format!("p{pool}")).collect(),
    }
}

/// The checks that an asset needs of some inputs, by dice of their own: what else is in the world does not depend on them.
fn needs(inputs: &[AssetId], definition: Fingerprint) -> BTreeMap<AssetId, BTreeSet<CheckId>> {
    let seed = definition.to_string().bytes().fold(7_u64, |seed, byte| seed.rotate_left(7) ^ u64::from(byte));
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut needs = BTreeMap::new();
    for input in inputs {
        if dice.random_bool(0.3) {
            let needed = CHECKS.iter().filter(|_| dice.random_bool(0.3)).map(|check| CheckId::new(check));
            needs.insert(input.clone(), needed.collect());
        }
    }
    needs
}

fn triggers(rng: &mut SmallRng, before: &[ScheduledAsset], is_source: bool) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    if rng.random_bool(if is_source { 0.3 } else { 0.8 }) {
        triggers.push(Trigger::OnChange);
    }
    while triggers.is_empty() || rng.random_bool(0.3) {
        triggers.push(match rng.random_range(0..8) {
            0 => Trigger::Manual,
            1 | 2 => Trigger::Every(Span::from_ms(rng.random_range(1..60) * 30_000)),
            3 => Trigger::Cron(cron(rng).parse().unwrap()),
            4 => match before.choose(rng) {
                Some(first) => Trigger::After(first.id.clone()),
                None => Trigger::Manual,
            },
            5 if is_source => Trigger::NewFiles { poll: Span::from_ms(rng.random_range(1..20) * 60_000) },
            6 => Trigger::Webhook(format!("w{}", rng.random_range(0..3))),
            _ => Trigger::Freshness(Span::from_ms(rng.random_range(5..120) * 60_000)),
        });
    }
    triggers
}

fn cron(rng: &mut SmallRng) -> &'static str {
    [
        "*/5 * * * * Europe/Berlin",
        "30 2 * * * Europe/Berlin",
        "0,30 1-3 * * * America/New_York",
        "*/7 * * * *",
        "15 * * * * Australia/Lord_Howe",
    ]
    .choose(rng)
    .unwrap()
}

fn limits(rng: &mut SmallRng) -> Limits {
    let mut some = |max| NonZeroUsize::new(rng.random_range(1..=max)).unwrap();
    let mut limits = Limits::of(some(5));
    limits.connections.insert("c0".into(), some(2));
    limits.connections.insert("c1".into(), some(3));
    limits.pools.insert("p0".into(), some(2));
    limits.pools.insert("p1".into(), some(2));
    limits
}

fn fingerprint(rng: &mut SmallRng) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes[0] = rng.random();
    bytes[1] = rng.random();
    Fingerprint::new(bytes)
}
