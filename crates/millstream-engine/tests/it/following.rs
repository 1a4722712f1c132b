//! Views that follow a source: what they serve is what a view over the landed table would, whenever its process dies, lands or
//! begins anew.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::Schema, temporal_conversions::timestamp_us_to_datetime};
use millstream_engine::{Clock, FeatureServer, MaterializeRequest, PushTo, RunRequest};
use millstream_state::Moment;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio_util::sync::CancellationToken;

use crate::harness::{Act, Definition, Ended, Harm, Injection, Line, World, block_on};

const FOLLOWING: &str = "
=== sources/clicks.yaml
connector: {type: events, columns: \"id,customer_id,at,amount\", partitions: 2}
contract:
  columns:
    id: {type: int64, required: true}
    customer_id: {type: int64}
    at: {type: timestamp}
    amount: {type: int64}
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  clicks:
    from: bronze.clicks
    time: at
    features:
      all: {count: \"*\"}
      newest: {column: amount}
      hour: {count: \"*\", window: 1h}
      day: {sum: amount, window: 1d}
      week: {max: amount, window: 7d, where: \"amount < 90\"}
  large:
    from: bronze.clicks
    sql: SELECT customer_id, at, amount * 2 AS twice, _ingested_at, _sequence FROM bronze.clicks WHERE amount > 50
    time: at
    features: {twice: {sum: twice, window: 30d}, last: {last: twice, window: 1d}}
services:
  s: [clicks.*, large.*]
";

/// The same views, brought up to date from the table alone.
fn batch(text: &str) -> String {
    text.replace("    time: at\n", "    time: at\n    stream: false\n")
}

/// Another meaning of a view.
fn changed(text: &str) -> String {
    text.replace("hour: {count: \"*\", window: 1h}", "hour: {count: \"*\", window: 2h}")
}

fn materialize(full: bool) -> Act {
    Act::Materialize(MaterializeRequest { full, ..MaterializeRequest::default() })
}

fn land() -> Act {
    Act::Run(RunRequest { selection: vec!["bronze.clicks".to_owned()], ..RunRequest::default() })
}

async fn well(world: &World, act: &Act) -> String {
    match world.act(act).await {
        Ended::Well(text) => text,
        ended => panic!("{act:?}: {ended:?}"),
    }
}

/// The instant so many seconds ago, as a source writes it.
fn ago(world: &World, seconds: i64) -> String {
    let at = timestamp_us_to_datetime(world.clock.now().0 - seconds * 1_000_000).unwrap();
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Two worlds to which the same happens: one follows the log, the other reads what has landed.
struct Worlds {
    following: World,
    landed: World,
    dice: SmallRng,
    sent: u64,
    text: String,
}

impl Worlds {
    fn new(seed: u64) -> Self {
        Self {
            following: World::new(Definition::of(FOLLOWING)),
            landed: World::new(Definition::of(&batch(FOLLOWING))),
            dice: SmallRng::seed_from_u64(seed),
            sent: 0,
            text: FOLLOWING.to_owned(),
        }
    }

    fn pass(&self, seconds: i64) {
        self.following.clock.pass(seconds);
        self.landed.clock.pass(seconds);
    }

    /// Some events: most of them recent and in disorder, some late, some that the contract keeps out.
    async fn send(&mut self) {
        let partition = self.dice.random_range(0..2);
        let mut lines = Vec::new();
        for _ in 0..self.dice.random_range(1..12) {
            self.sent += 1;
            let late = if self.dice.random_bool(0.2) { 3_000_000 } else { 120 };
            let at = ago(&self.following, self.dice.random_range(0..late));
            let (customer, amount) = (self.dice.random_range(1..4), self.dice.random_range(0..100));
            lines.push(match self.dice.random_range(0..20) {
                0 => format!(",{customer},{at},{amount}"),
                1 => "torn".to_owned(),
                2 => format!("{},{customer},no time,{amount}", self.sent),
                _ => format!("{},{customer},{at},{amount}", self.sent),
            });
        }
        self.following.send("clicks", partition, &lines).await;
        self.landed.send("clicks", partition, &lines).await;
    }

    /// Lets the process die somewhere in the act, or at none of its points.
    async fn die(&mut self, act: &Act) {
        let moment = if self.dice.random_bool(0.5) { Moment::Before } else { Moment::After };
        let at = self.dice.random_range(0..60);
        let line = Line::harmed(Injection { at, moment, harm: Harm::Death });
        let ended = self.following.act_on(act, &line).await;
        assert!(!matches!(ended, Ended::Badly(_)), "{act:?}: {ended:?}");
    }

    async fn define(&mut self) {
        self.text = if self.text == FOLLOWING { changed(FOLLOWING) } else { FOLLOWING.to_owned() };
        self.following.define(&self.text);
        self.landed.define(&batch(&self.text));
        self.record().await;
    }

    /// A server that begins records its versions of services, which then read on.
    async fn record(&self) {
        for world in [&self.following, &self.landed] {
            world.online(&Line::quiet()).await;
            world.features().await;
        }
    }

    /// Both are as far as the log, and serve the same.
    async fn compare(&self, place: &str) {
        well(&self.following, &materialize(false)).await;
        well(&self.landed, &land()).await;
        well(&self.landed, &materialize(false)).await;
        assert_eq!(self.following.features().await, self.landed.features().await, "{place}");
    }
}

/// Lives through so many random steps.
async fn live(seed: u64, steps: usize) {
    let mut worlds = Worlds::new(seed);
    worlds.record().await;
    worlds.send().await;
    for step in 0..steps {
        match worlds.dice.random_range(0..16) {
            0..5 => worlds.send().await,
            5 | 6 => {
                let seconds = worlds.dice.random_range(1..4_000);
                worlds.pass(seconds);
            }
            7 | 8 => drop(well(&worlds.following, &land()).await),
            9 => worlds.die(&land()).await,
            10 | 11 => worlds.die(&materialize(false)).await,
            12 => worlds.die(&materialize(true)).await,
            13 => drop(well(&worlds.following, &materialize(false)).await),
            14 => worlds.define().await,
            _ => worlds.compare(&format!("seed {seed}, step {step}")).await,
        }
    }
    worlds.compare(&format!("seed {seed}, at the end")).await;
}

#[test]
fn what_is_followed_is_what_has_landed() {
    for seed in 0..6 {
        block_on(live(seed, 40));
    }
}

#[test]
fn events_are_served_before_they_have_landed_and_count_once_after() {
    block_on(async {
        let world = World::new(Definition::of(FOLLOWING));
        let (now, before) = (ago(&world, 0), ago(&world, 60));
        world.send("clicks", 0, &[format!("1,1,{before},70"), format!("2,2,{before},10")]).await;
        assert_eq!(
            well(&world, &materialize(false)).await,
            "clicks: Full, 2 rows of 0\nlarge: Full, 1 rows of 0"
        );
        world.clock.pass(1);
        let expected = [
            "s.clicks.all: 1 Present, 1 Present, 0 Missing",
            "s.clicks.newest: 70 Present, 10 Present, - Missing",
            "s.clicks.hour: 1 Present, 1 Present, 0 Missing",
            "s.clicks.day: 70 Present, 10 Present, - Missing",
            "s.clicks.week: 70 Present, 10 Present, - Missing",
            "s.large.twice: 140 Present, - Missing, - Missing",
            "s.large.last: 140 Present, - Missing, - Missing",
        ];
        assert_eq!(world.features().await, expected);
        well(&world, &land()).await;
        well(&world, &materialize(false)).await;
        assert_eq!(world.features().await, expected);
        world.send("clicks", 1, &[format!("3,1,{now},1")]).await;
        well(&world, &materialize(true)).await;
        assert_eq!(world.features().await[0], "s.clicks.all: 2 Present, 1 Present, 0 Missing");
    });
}

#[test]
fn rows_that_were_taken_in_again_come_from_the_table() {
    block_on(async {
        let strict = FOLLOWING.replace("amount: {type: int64}", "amount: {type: int64, range: [0, 80]}");
        let mut world = World::new(Definition::of(&strict));
        let before = ago(&world, 60);
        world.send("clicks", 0, &[format!("1,1,{before},90"), format!("2,1,{before},10")]).await;
        well(&world, &land()).await;
        well(&world, &materialize(false)).await;
        world.send("clicks", 0, &[format!("3,1,{before},20")]).await;
        well(&world, &materialize(false)).await;
        assert_eq!(world.features().await[0], "s.clicks.all: 2 Present, 0 Missing, 0 Missing");
        world.define(FOLLOWING);
        well(&world, &Act::Reprocess("bronze.clicks")).await;
        let done = well(&world, &materialize(false)).await;
        assert!(done.contains("clicks: Full, 3 rows"), "{done}");
        assert_eq!(world.features().await[0], "s.clicks.all: 3 Present, 0 Missing, 0 Missing");
        well(&world, &land()).await;
        well(&world, &materialize(false)).await;
        assert_eq!(world.features().await[0], "s.clicks.all: 3 Present, 0 Missing, 0 Missing");
    });
}

#[test]
fn a_view_that_batches_kept_goes_on_from_where_they_ended() {
    block_on(async {
        let mut world = World::new(Definition::of(&batch(FOLLOWING)));
        let before = ago(&world, 60);
        world.send("clicks", 0, &[format!("1,1,{before},70")]).await;
        well(&world, &land()).await;
        well(&world, &materialize(false)).await;
        world.send("clicks", 0, &[format!("2,1,{before},60")]).await;
        world.define(FOLLOWING);
        assert_eq!(
            well(&world, &materialize(false)).await,
            "clicks: Incremental, 1 rows of 0\nlarge: Incremental, 1 rows of 0"
        );
        assert_eq!(world.features().await[0], "s.clicks.all: 2 Present, 0 Missing, 0 Missing");
        // And back: the table does not have the second event yet.
        world.define(&batch(FOLLOWING));
        well(&world, &materialize(false)).await;
        assert_eq!(world.features().await[0], "s.clicks.all: 1 Present, 0 Missing, 0 Missing");
        well(&world, &land()).await;
        well(&world, &materialize(false)).await;
        assert_eq!(world.features().await[0], "s.clicks.all: 2 Present, 0 Missing, 0 Missing");
    });
}

#[test]
fn rows_are_not_pushed_to_a_view_that_follows_a_source() {
    block_on(async {
        let world = World::new(Definition::of(FOLLOWING));
        let line = Line::quiet();
        world.online(&line).await;
        let server = FeatureServer::open(&world.engine(&line).await, 0.0).await.unwrap();
        let rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let refused = server.push("clicks", rows, PushTo::OnlineAndOffline).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.to_string().as_str()),
            ("MS-0860", "rows cannot be pushed to `clicks`: it follows the source `clicks`")
        );
    });
}

/// Waits until the first feature of the first customers is this.
async fn until(world: &World, expected: &str) {
    let mut found = Vec::new();
    for _ in 0..3_000 {
        found = world.features().await;
        if found.first().is_some_and(|line| line == expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{found:#?}");
}

#[test]
fn pipelines_follow_while_a_process_serves() {
    block_on(async {
        let world = World::new(Definition::of(FOLLOWING));
        let line = Line::quiet();
        world.log().await;
        world.online(&line).await;
        let before = ago(&world, 60);
        for round in 1..3 {
            let engine = world.engine(&line).await;
            let stop = CancellationToken::new();
            let (pipelines, kept) = engine.keep_pipelines(stop.clone(), Duration::from_secs(10));
            let kept = tokio::spawn(kept);
            for number in 1..4 {
                world.send("clicks", number % 2, &[format!("{number},1,{before},70")]).await;
                let count = (round - 1) * 3 + number;
                until(&world, &format!("s.clicks.all: {count} Present, 0 Missing, 0 Missing")).await;
                if number == 2 {
                    well(&world, &land()).await;
                }
            }
            let working = pipelines.status();
            let working: Vec<_> =
                working.iter().map(|one| format!("{} {}", one.asset, one.state.as_str())).collect();
            assert_eq!(working, ["view:clicks working", "view:large working"]);
            stop.cancel();
            kept.await.unwrap();
        }
    });
}
