//! Leases: what others see of a run at work, and a run that stood still for so long that another process took its lease.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::{Clock, Engine, Event, FeatureServer, Observer, RunRequest};
use millstream_state::{Holder, LeaseRequest, LeaseToken, RunOutcome, State};
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Definition, Hands, Line, World, block_on},
    shop::{SHOP, arrive},
};

const TABLE: &str = "
=== sources/a.yaml
connector: {type: scripted, place: a}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/a.sql
SELECT id FROM bronze.a
";

/// Takes the lease of a run, as soon as a step begins, by a clock that is an hour later.
#[derive(Debug)]
struct Successor {
    step: &'static str,
    clock: Hands,
    state: std::path::PathBuf,
}

impl Observer for Successor {
    fn event(&self, event: &Event) {
        if let Event::StepStarted { asset, .. } = event
            && asset.as_str() == self.step
        {
            self.clock.pass(3_600);
            // An observer is not async, so another thread has to ask the state store.
            std::thread::scope(|scope| scope.spawn(|| block_on(self.take())).join().unwrap());
        }
    }
}

impl Successor {
    async fn take(&self) -> LeaseToken {
        let now = self.clock.now();
        let (assets, holder) = ([AssetId::new(self.step)], Holder::this_process("another", now));
        let length = Duration::from_secs(30);
        let state = State::open(&self.state).await.unwrap();
        state.take_lease(&LeaseRequest { assets: &assets, holder: &holder, now, length }).await.unwrap()
    }
}

#[test]
fn who_comes_back_too_late_commits_and_records_nothing() {
    for step in ["bronze.a", "silver.a"] {
        block_on(async {
            let world = World::new(Definition::of(TABLE));
            world.definition.script.put("a", "x", "id\n1\n2");
            let engine = world.engine(&Line::quiet()).await;
            let successor = Successor { step, clock: world.clock.clone(), state: world.state_path() };
            let cancel = CancellationToken::new();
            let request = RunRequest::default();
            let run = engine
                .run(&request, Duration::ZERO, engine.begin("test").observed_by(Arc::new(successor)), cancel)
                .await;
            assert_eq!(run.unwrap_err().code(), "MS-0617", "{step}");
            let state = world.state().await;
            assert!(!state.recorded().await.unwrap().contains_key(&AssetId::new(step)), "{step}");
            assert_eq!(
                world.lake(&Line::quiet()).probe(&step.parse().unwrap(), None).await.unwrap(),
                None,
                "{step}"
            );
            // Once the successor has gone, a run does everything.
            for lease in state.leases(world.clock.now()).await.unwrap() {
                state.end_lease(lease.token).await.unwrap();
            }
            world.run().await;
            assert_eq!(world.rows("silver.a").await, ["id: 1", "id: 2"]);
            assert_eq!(world.runs().await, ["succeeded", "interrupted"]);
        });
    }
}

#[test]
fn a_materialisation_that_comes_back_too_late_records_nothing() {
    block_on(async {
        let world = World::new(Definition::of(SHOP));
        arrive(&world.definition.script, 0);
        drop(world.online(&Line::quiet()).await);
        let engine = world.engine(&Line::quiet()).await;
        let run = RunRequest { exclude: vec!["view:*".into(), "dataset:*".into()], ..RunRequest::default() };
        let cancel = CancellationToken::new;
        Box::pin(engine.run(&run, Duration::ZERO, engine.begin("test"), cancel())).await.unwrap();
        let features = FeatureServer::open(&engine, 0.0).await.unwrap();
        let (clock, state) = (world.clock.clone(), world.state_path());
        let successor = Successor { step: "view:orders", clock, state };
        let events = engine.begin("test").observed_by(Arc::new(successor));
        let done = features.materialize(&Default::default(), events, cancel()).await;
        assert_eq!(done.unwrap_err().code(), "MS-0617");
        let state = world.state().await;
        let last = state.last_run().await.unwrap().unwrap();
        let steps = state.steps(&last.run).await.unwrap().len();
        // Nobody has recorded its end, but its lease is gone.
        assert_eq!((last.outcome, last.finished, steps), (Some(RunOutcome::Interrupted), None, 0));
        assert!(!state.recorded().await.unwrap().contains_key(&AssetId::new("view:orders")));
    });
}

/// Asks for the status as soon as a step begins.
struct Bystander {
    engine: Engine,
    told: Mutex<Vec<String>>,
}

impl Bystander {
    async fn look(&self) -> Vec<String> {
        let status = self.engine.status().await.unwrap();
        let line = |asset: millstream_engine::AssetStatus| {
            let lease = asset.lease?;
            let (holder, age) = (&lease.holder, lease.holder.age(status.now).as_secs());
            let is_this = holder.pid == std::process::id();
            Some(format!("{}: `{}`, this process: {is_this}, {age} s", asset.asset, holder.command))
        };
        status.assets.into_iter().filter_map(line).collect()
    }
}

impl Observer for Bystander {
    fn event(&self, event: &Event) {
        if let Event::StepStarted { asset, .. } = event
            && asset.as_str() == "silver.a"
        {
            let told = std::thread::scope(|scope| scope.spawn(|| block_on(self.look())).join().unwrap());
            *self.told.lock().unwrap() = told;
        }
    }
}

#[test]
fn status_says_who_writes_an_asset_while_it_is_written() {
    block_on(async {
        let world = World::new(Definition::of(TABLE));
        world.definition.script.put("a", "x", "id\n1\n2");
        let engine = world.engine(&Line::quiet()).await;
        let bystander = Bystander { engine: world.engine(&Line::quiet()).await, told: Mutex::default() };
        let bystander = Arc::new(bystander);
        assert_eq!(bystander.look().await, [""; 0]);
        let request = RunRequest { command: "run silver.*".into(), ..RunRequest::default() };
        let cancel = CancellationToken::new();
        let events = engine.begin("test").observed_by(bystander.clone());
        engine.run(&request, Duration::ZERO, events, cancel).await.unwrap();
        let told = bystander.told.lock().unwrap().clone();
        let expected =
            ["bronze.a", "silver.a"].map(|asset| format!("{asset}: `run silver.*`, this process: true, 0 s"));
        assert_eq!(told, expected);
        assert_eq!(bystander.look().await, [""; 0]);
    });
}

/// Lets go of a lease as soon as somebody waits for it.
struct Yielding {
    state: std::path::PathBuf,
    token: LeaseToken,
    told: Mutex<Vec<String>>,
}

impl Observer for Yielding {
    fn event(&self, event: &Event) {
        if let Event::Waiting { because } = event {
            self.told.lock().unwrap().push(because.clone());
            let end = async { State::open(&self.state).await.unwrap().end_lease(self.token).await.unwrap() };
            std::thread::scope(|scope| scope.spawn(|| block_on(end)).join().unwrap());
        }
    }
}

#[test]
fn who_waits_says_for_whom_and_goes_on_when_they_have_ended() {
    block_on(async {
        let world = World::new(Definition::of(TABLE));
        world.definition.script.put("a", "x", "id\n1\n2");
        let engine = world.engine(&Line::quiet()).await;
        let (step, clock, state) = ("silver.a", world.clock.clone(), world.state_path());
        let token = Successor { step, clock, state: state.clone() }.take().await;
        let yielding = Arc::new(Yielding { state, token, told: Mutex::default() });
        let events = engine.begin("test").observed_by(yielding.clone());
        let request = RunRequest::default();
        let wait = Duration::from_secs(600);
        let run = engine.run(&request, wait, events, CancellationToken::new()).await.unwrap();
        assert!(run.succeeded());
        let told = yielding.told.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("works on `silver.a` (`another`)"), "{told:?}");
    });
}
