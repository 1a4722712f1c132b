//! Lives of tables with partitions against a naive oracle: whatever happened in whichever order, the rows are those of a build of
//! the whole table.

use std::collections::BTreeMap;

use millstream_engine::{BackfillRequest, BackfillWish, RunRequest};
use millstream_state::Moment;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    harness::{Act, Definition, Ended, Harm, Injection, Line, Script, World, block_on},
    partitions::{project, request},
};

/// Queries whose rows lie in partitions that follow from one input, from a join, from an aggregate, or from nothing that can be
/// followed. Those with an `id` have it once for each order. `{bump}` differs from one definition to the next.
const QUERIES: [&str; 5] = [
    "SELECT id, day, size FROM bronze.orders WHERE id <> {bump}",
    "SELECT o.id, o.day, o.size, n.name FROM bronze.orders o LEFT JOIN bronze.names n ON n.id = o.id WHERE o.id <> {bump}",
    "SELECT date_trunc('day', day) AS day, count(*) AS orders, sum(size) AS size FROM bronze.orders WHERE id <> {bump} GROUP BY 1",
    "SELECT o.day, o.size, n.total + {bump} AS total FROM bronze.orders o CROSS JOIN (SELECT count(*) AS total FROM bronze.names) n",
    "SELECT max(day) AS day, id % 3 AS third, count(*) AS orders FROM bronze.orders WHERE id <> {bump} GROUP BY id % 3",
];

/// What can be done to the table between two comparisons.
const ACTS: [&str; 6] = ["range", "missing", "sources", "run", "run anew", "run without a state store"];

/// Whatever comes, goes, moves and changes, and whatever is built of it in which order, by processes that die: in the end the
/// table is that of a full build.
#[test]
fn partitions_built_in_any_order_equal_a_full_build() {
    block_on(async {
        let (mut ended_well, mut died) = ([0; ACTS.len()], 0);
        for (place, query) in QUERIES.iter().enumerate() {
            for seed in 0..seeds(6) {
                lives_of(query, place as u64 * 1_000 + seed, &mut ended_well, &mut died).await;
            }
        }
        for (act, count) in ACTS.iter().zip(ended_well) {
            assert!(count > 0, "`{act}` never ended well");
        }
        assert!(died > 0, "nothing ever died");
    });
}

/// How many seeds are tried: so many, or what `MILLSTREAM_SEEDS` says.
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
fn seeds(usual: u64) -> u64 {
    std::env::var("MILLSTREAM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// One definition of the table, with partitions and without.
struct Parting {
    by: String,
    checks: &'static str,
    query: String,
    from: Option<&'static str>,
}

impl Parting {
    fn any(dice: &mut SmallRng, query: &str, round: u32) -> Self {
        let grains = ["day", "week", "month", "day, zone: America/Sao_Paulo", "hour"];
        let (by, from) = match dice.random_range(0..4) {
            0 if query.contains("size") => ("value, column: size".to_owned(), None),
            _ => {
                let grain = grains[dice.random_range(0..grains.len())];
                // The first of June is a Monday.
                let is_cut = dice.random_range(0..4) == 0 && !grain.contains("zone");
                (format!("{grain}, column: day"), is_cut.then_some("2026-06-01"))
            }
        };
        let checks = [
            "",
            "checks:\n  - unique: id\n  - {range: {column: size, max: 100}, severity: halt}",
            "checks:\n  - unique: id\n  - relationship: {column: id, to: bronze.names.id}",
        ];
        let checks = if query.contains("id, ") { checks[dice.random_range(0..checks.len())] } else { "" };
        Self { by, checks, query: query.replace("{bump}", &round.to_string()), from }
    }

    fn parted(&self) -> String {
        let from = self.from.map(|from| format!(", from: {from}")).unwrap_or_default();
        project(&format!("partition: {{by: {}{from}}}\n{}", self.by, self.checks), &self.query)
    }

    fn whole(&self) -> String {
        let query = match self.from {
            Some(from) => {
                format!("SELECT * FROM ({}) AS t WHERE day >= '{from}T00:00:00Z' OR day IS NULL", self.query)
            }
            None => self.query.clone(),
        };
        project(&format!("materialize: table\n{}", self.checks), &query)
    }
}

/// Some orders and names come, go, or move to another day; an order may have the key of another one, or be one that is halted.
fn arrive_by_chance(dice: &mut SmallRng, script: &Script, next: &mut u32) {
    for _ in 0..dice.random_range(1..4) {
        *next += 1;
        let at = some_time(dice);
        let size = dice.random_range(0..9);
        match dice.random_range(0..10) {
            0 => script.append("names", "a", &format!("{next},name{next}")),
            1 => script.append("names", "a", &format!("{},late", dice.random_range(0..=*next))),
            2 => script.put("orders", "b", &format!("id,day,size\n{next},{at},{size}")),
            3 | 4 => script.put("orders", "moving", &format!("id,day,size\n1000,{at},{size}")),
            5 => script.put("orders", "twice", &format!("id,day,size\n1000,{at},{size}")),
            6 => script.put("orders", "halting", &format!("id,day,size\n2000,{at},1000")),
            _ => script.append("orders", "a", &format!("{next},{at},{size}")),
        }
    }
}

fn some_time(dice: &mut SmallRng) -> String {
    let day = dice.random_range(1..29);
    match dice.random_range(0..12) {
        0 => String::new(),
        hour => format!("2026-0{}-{day:02}T{hour:02}:30:00Z", dice.random_range(5..8)),
    }
}

fn sources() -> Act {
    Act::Run(RunRequest { selection: vec!["source:*".into()], ..RunRequest::default() })
}

fn anew() -> Act {
    let selection = vec!["silver.t".to_owned()];
    Act::Run(RunRequest { selection, full_refresh: true, ..RunRequest::default() })
}

/// A line on which the process dies somewhere, or not at all.
fn some_line(dice: &mut SmallRng) -> std::sync::Arc<Line> {
    if dice.random_range(0..3) > 0 {
        return Line::quiet();
    }
    let moment = [Moment::Before, Moment::After][dice.random_range(0..2)];
    Line::harmed(Injection { at: dice.random_range(0..140), moment, harm: Harm::Death })
}

async fn lives_of(query: &str, seed: u64, ended_well: &mut [u32; ACTS.len()], died: &mut u32) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut parting = Parting::any(&mut dice, query, 5_000);
    let mut world = World::new(Definition::of(&parting.parted()));
    let script = world.definition.script.clone();
    let mut twin = World::new(Definition::with_script(&parting.whole(), script.clone()));
    let mut next = 0;
    script.put("names", "a", "id,name\n1,one");
    script.put("orders", "a", "id,day,size\n0,2026-06-01T10:00:00Z,5");
    assert!(matches!(world.act(&sources()).await, Ended::Well(_)));
    for round in 0..12 {
        arrive_by_chance(&mut dice, &script, &mut next);
        let chosen = dice.random_range(0..ACTS.len());
        if dice.random_range(0..8) == 0 {
            world.lose_state();
            assert!(matches!(world.act(&sources()).await, Ended::Well(_)), "seed {seed}");
        }
        let act = match ACTS[chosen] {
            "range" => Act::Backfill(request("2026-06", "2026-07")),
            "missing" => {
                Act::Backfill(BackfillRequest { asset: "silver.t".into(), ..BackfillRequest::default() })
            }
            "sources" => sources(),
            "run" => Act::Run(RunRequest::default()),
            "run anew" => anew(),
            _ => {
                world.lose_state();
                Act::Run(RunRequest::default())
            }
        };
        let line = some_line(&mut dice);
        match world.act_on(&act, &line).await {
            Ended::Well(_) => ended_well[chosen] += 1,
            // A check halts a partition; a month is no partition of a table that is parted by weeks or by values.
            Ended::Badly(text) => {
                let is_known = ["halted", "no partition", "parted by value", "no such partition"];
                assert!(is_known.iter().any(|known| text.contains(known)), "seed {seed}, {round}: {text}");
            }
            Ended::Died => *died += 1,
        }
        line.die();
        if dice.random_range(0..4) == 0 {
            parting = Parting::any(&mut dice, query, round);
            world.define(&parting.parted());
            twin.define(&parting.whole());
        }
        if round % 3 == 2 {
            script.put("orders", "halting", "id,day,size\n2000,2026-06-03T10:00:00Z,1");
            // Which of two orders with one key stays is left open, so that there is one when tables are compared.
            script.put("orders", "twice", "id,day,size\n1001,2026-06-04T10:00:00Z,2");
            compare(&world, &twin, &format!("seed {seed}, round {round}, {}", parting.parted()), |row| row)
                .await;
        }
    }
}

/// Runs the world until nothing is left to do; then its rows are those of the twin, which is built as a whole, as `expected` has
/// them.
async fn compare(world: &World, twin: &World, place: &str, expected: impl Fn(String) -> String) {
    const RUNS: usize = 3;
    for run in 1.. {
        let ended = world.act(&Act::Run(RunRequest::default())).await;
        assert!(matches!(ended, Ended::Well(_)), "{place}: {ended:?}");
        let left = world.plan().await;
        if left.is_empty() {
            break;
        }
        assert!(run < RUNS, "{place}: {left:?} is left after {run} runs");
    }
    twin.run().await;
    assert!(matches!(twin.act(&anew()).await, Ended::Well(_)), "{place}");
    let full = twin.rows("silver.t").await.into_iter().map(expected);
    let mut full: Vec<String> = full.collect();
    full.sort();
    assert_eq!(world.rows("silver.t").await, full, "{place}");
    let of_checks = |rows: Vec<String>| rows.len();
    let rejected = [world, twin].map(|world| world.rows("silver.t__rejected"));
    let [found, wanted] = rejected;
    assert_eq!(of_checks(found.await), of_checks(wanted.await), "{place}: rejected rows");
}

/// A partition keeps the parameters of its last backfill whatever happens, until the definition changes.
#[test]
fn parameters_stay_with_their_partitions() {
    block_on(async {
        for seed in 0..seeds(12) {
            life_with_parameters(seed).await;
        }
    });
}

async fn life_with_parameters(seed: u64) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let text = |kind: &str, round: u32| {
        let query = format!("SELECT id, day, $rate AS rate FROM bronze.orders WHERE id <> {}", 5_000 + round);
        project(&format!("{kind}\nparameters: {{rate: {{type: int64, default: 1}}}}"), &query)
    };
    let (parted, whole) = ("partition: {by: day, column: day}", "materialize: table");
    let mut world = World::new(Definition::of(&text(parted, 0)));
    let script = world.definition.script.clone();
    let mut twin = World::new(Definition::with_script(&text(whole, 0), script.clone()));
    script.put("names", "a", "id,name\n1,one");
    script.put("orders", "a", "id,day,size\n0,2026-06-01T10:00:00Z,5");
    assert!(matches!(world.act(&sources()).await, Ended::Well(_)));
    let (mut next, mut rates) = (0, BTreeMap::new());
    for round in 0..15 {
        arrive_by_chance(&mut dice, &script, &mut next);
        let day = format!("2026-06-{:02}", dice.random_range(1..29));
        let rate = dice.random_range(1..5);
        let backfill = Act::Backfill(BackfillRequest {
            asset: "silver.t".to_owned(),
            wish: BackfillWish::Named(vec![day.clone()]),
            set: [("rate".to_owned(), rate.to_string())].into(),
            force: dice.random_range(0..2) == 0,
            ..BackfillRequest::default()
        });
        let act = match dice.random_range(0..8) {
            0 => Act::Run(RunRequest::default()),
            1 => sources(),
            2 => anew(),
            3 => {
                world.lose_state();
                sources()
            }
            _ => backfill,
        };
        let line = some_line(&mut dice);
        let ended = world.act_on(&act, &line).await;
        line.die();
        assert!(!matches!(ended, Ended::Badly(_)), "seed {seed}, round {round}: {ended:?}");
        if let Act::Backfill(_) = &act {
            // Somebody asks again until it is done.
            if ended == Ended::Died {
                let again = world.act(&act).await;
                assert!(matches!(again, Ended::Well(_)), "seed {seed}, round {round}: {again:?}");
            }
            rates.insert(day, rate);
        }
        if dice.random_range(0..8) == 0 {
            rates.clear();
            world.define(&text(parted, round));
            twin.define(&text(whole, round));
        }
        if round % 3 == 2 {
            let expected = |row: String| {
                let day = row.split_once("day: ").and_then(|(_, rest)| rest.get(..10));
                let rate = day.and_then(|day| rates.get(day)).unwrap_or(&1);
                row.replace("rate: 1", &format!("rate: {rate}"))
            };
            compare(&world, &twin, &format!("seed {seed}, round {round}, {rates:?}"), expected).await;
        }
    }
}
