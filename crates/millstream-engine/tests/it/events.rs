//! The bus: everything that is told of work in a process, whoever asked for the work and whoever listens.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::{
    DatasetRequest, Event, EventBus, FeatureServer, Heard, MaintainRequest, Observer, RunRequest,
};
use millstream_plan::Reason;
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Definition, Line, World, block_on},
    shop::{SHOP, arrive},
};

/// Keeps the names of what it observes.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<String>>);

impl Observer for Names {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(name(event));
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::Waiting { because } => format!("waits: {because}"),
        Event::RunStarted { steps, .. } => format!("run of {}", steps.len()),
        Event::StepStarted { asset, .. } => format!("{asset} begins"),
        Event::StepProgress(progress) => format!("{} progresses", progress.asset),
        Event::StepNote { asset, .. } => format!("{asset} notes"),
        Event::StepRetry { asset, .. } => format!("{asset} again"),
        Event::StepFinished(step) => format!("{} {}", step.asset, step.outcome.as_str()),
        Event::RunFinished(report) => format!("run ends, {}", report.succeeded()),
        Event::TableMaintained(report) => format!("{} maintained", report.table),
    }
}

fn step(number: u32) -> Event {
    Event::StepStarted { asset: AssetId::new(&format!("a.s{number}")), reason: Reason::Forced }
}

#[test]
fn who_subscribes_hears_all_work_and_an_observer_hears_its_own() {
    block_on(async {
        let bus = EventBus::default();
        let (names, mut heard) = (Arc::new(Names::default()), bus.subscribe());
        let first = bus.begin().observed_by(names.clone());
        let second = bus.begin();
        first.publish(step(1));
        second.publish(step(2));
        assert_eq!(*names.0.lock().unwrap(), ["a.s1 begins"]);
        let works = [first.work(), second.work()];
        assert_ne!(works[0], works[1]);
        for (number, work) in (1..).zip(works) {
            let Some(Heard::Event(told)) = heard.hear().await else { panic!("an event") };
            assert_eq!((told.work, name(&told.event)), (work, format!("a.s{number} begins")));
        }
        drop((bus, first, second));
        assert!(heard.hear().await.is_none());
    });
}

#[test]
fn work_does_not_wait_for_a_subscriber_who_is_told_how_much_was_missed() {
    block_on(async {
        let bus = EventBus::default();
        let (mut heard, work) = (bus.subscribe(), bus.begin());
        for number in 0..5_000 {
            work.publish(step(number));
        }
        drop((bus, work));
        let (mut missed, mut taken) = (0, Vec::new());
        while let Some(told) = heard.hear().await {
            match told {
                Heard::Missed(events) => missed += events,
                Heard::Event(told) => taken.push(name(&told.event)),
            }
        }
        assert!(missed > 0 && !taken.is_empty(), "{missed} missed");
        let kept: Vec<_> = (missed..5_000).map(|number| format!("a.s{number} begins")).collect();
        assert_eq!(taken, kept, "the newest, in order");
    });
}

/// Each line begins with the number of its work.
const TOLD: &str = "\
0: run of 10
0: bronze.customers begins
0: bronze.customers built
0: bronze.events begins
0: bronze.events built
0: bronze.orders begins
0: bronze.orders built
0: service:churn_v1 begins
0: service:churn_v1 built
0: silver.customers begins
0: silver.customers built
0: silver.events begins
0: silver.events built
0: silver.orders begins
0: silver.orders built
0: gold.daily begins
0: gold.daily built
0: gold.labels begins
0: gold.labels built
0: gold.value begins
0: gold.value built
0: run ends, true
1: run of 2
1: view:orders built
1: view:visits built
1: run ends, true
2: run of 1
2: dataset:churn built
2: run ends, true
3: bronze.customers maintained
3: bronze.events__rejected maintained
3: bronze.events maintained
3: bronze.orders__rejected maintained
3: bronze.orders maintained
";

#[test]
fn runs_materialisations_datasets_and_maintenance_tell_on_one_bus() {
    block_on(async {
        let world = World::new(Definition::of(SHOP));
        arrive(&world.definition.script, 0);
        drop(world.online(&Line::quiet()).await);
        let engine = world.engine(&Line::quiet()).await;
        let mut heard = engine.events().subscribe();
        let cancel = CancellationToken::new;
        let run = RunRequest { exclude: vec!["view:*".into(), "dataset:*".into()], ..RunRequest::default() };
        Box::pin(engine.run(&run, Duration::ZERO, engine.begin(), cancel())).await.unwrap();
        let features = FeatureServer::open(&engine, 0.0).await.unwrap();
        features.materialize(&Default::default(), engine.begin(), cancel()).await.unwrap();
        let dataset = DatasetRequest {
            name: "churn".to_owned(),
            memory_bytes: 64 << 20,
            output: None,
            command: String::new(),
            principal: None,
        };
        engine.build_dataset(&dataset, engine.begin(), cancel()).await.unwrap();
        let maintain = MaintainRequest {
            selection: vec!["bronze.*".to_owned()],
            retention: Duration::ZERO,
            command: String::new(),
        };
        engine.maintain(&maintain, Duration::ZERO, engine.begin(), cancel()).await.unwrap();
        drop((features, engine));
        let (mut works, mut told) = (Vec::new(), String::new());
        while let Some(next) = heard.hear().await {
            let Heard::Event(next) = next else { panic!("none is missed") };
            let name = name(&next.event);
            if name.ends_with("progresses") || name.ends_with("notes") {
                continue;
            }
            if !works.contains(&next.work) {
                works.push(next.work);
            }
            let work = works.iter().position(|known| *known == next.work).unwrap();
            told.push_str(&format!("{work}: {name}\n"));
        }
        assert_eq!(told, TOLD);
    });
}
