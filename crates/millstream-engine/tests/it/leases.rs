//! A run that stood still for so long that another took its place.

use std::{sync::Arc, time::Duration};

use millstream_engine::{Event, Observer, RunRequest};
use millstream_state::{Holder, LeaseRequest, LeaseToken, State};
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use crate::harness::{Definition, Hands, Line, World, block_on};

const TABLE: &str = "
=== sources/a.yaml
connector: {type: scripted, place: a}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/a.sql
SELECT id FROM bronze.a
";

/// Takes the run's place as soon as a step begins, an hour later.
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
            // An observer is no task, and the state store is asked by one.
            std::thread::scope(|scope| scope.spawn(|| block_on(self.take())).join().unwrap());
        }
    }
}

impl Successor {
    async fn take(&self) -> LeaseToken {
        use millstream_engine::Clock;

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
                .run(&request, Duration::ZERO, engine.begin().observed_by(Arc::new(successor)), cancel)
                .await;
            assert_eq!(run.unwrap_err().code(), "MS-0617", "{step}");
            let state = world.state().await;
            assert!(!state.recorded().await.unwrap().contains_key(&AssetId::new(step)), "{step}");
            assert_eq!(
                world.lake(&Line::quiet()).probe(&step.parse().unwrap(), None).await.unwrap(),
                None,
                "{step}"
            );
            // The successor goes, and all is as if nobody had stood still.
            for lease in state.leases().await.unwrap() {
                state.end_lease(lease.token).await.unwrap();
            }
            world.run().await;
            assert_eq!(world.rows("silver.a").await, ["id: 1", "id: 2"]);
            assert_eq!(world.runs().await, ["succeeded", "interrupted"]);
        });
    }
}
