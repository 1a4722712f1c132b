//! The bus: everything that is told of work in a process, whoever asked for the work and whoever listens.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::{
    Clock, DatasetRequest, Event, EventBus, FeatureServer, Heard, MaintainRequest, Observer, RunRequest,
    StepProgress, WorkChange, WorkEvent,
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
        Event::Alarm { message, .. } => message.clone(),
        Event::StepFinished(step) => format!("{} {}", step.asset, step.outcome.as_str()),
        Event::RunFinished(report) => format!("run ends, {}", report.succeeded()),
        Event::TableMaintained(report) => format!("{} maintained", report.table),
        Event::Pipeline(told) => format!("{} {}", told.asset, told.change.as_str()),
    }
}

/// What a subscriber hears of a piece of work: that it began, by its command, what it tells, and that it is over.
fn change(heard: &WorkEvent) -> String {
    match &heard.change {
        WorkChange::Began => format!("`{}` begins", heard.work.command),
        WorkChange::Told(event) => name(event),
        WorkChange::Ended => "is over".to_owned(),
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
        let first = bus.begin("first").observed_by(names.clone());
        let second = bus.begin("second");
        first.publish(step(1));
        second.publish(step(2));
        assert_eq!(*names.0.lock().unwrap(), ["a.s1 begins"]);
        let works = [first.work().id, second.work().id];
        assert_ne!(works[0], works[1]);
        let clone = first.clone();
        drop((bus, first));
        drop((second, clone));
        let mut told = Vec::new();
        while let Some(next) = heard.hear().await {
            let Heard::Change(next) = next else { panic!("nothing is missed") };
            told.push((works.iter().position(|work| *work == next.work.id).unwrap(), change(&next)));
        }
        let expected = [
            (0, "`first` begins"),
            (1, "`second` begins"),
            (0, "a.s1 begins"),
            (1, "a.s2 begins"),
            (1, "is over"),
            (0, "is over"),
        ];
        assert_eq!(told, expected.map(|(work, text)| (work, text.to_owned())));
    });
}

#[test]
fn work_does_not_wait_for_a_subscriber_who_is_told_how_much_was_missed() {
    block_on(async {
        let bus = EventBus::default();
        let (mut heard, work) = (bus.subscribe(), bus.begin("test"));
        for number in 0..5_000 {
            work.publish(step(number));
        }
        drop((bus, work));
        let (mut missed, mut taken) = (0, Vec::new());
        while let Some(told) = heard.hear().await {
            match told {
                Heard::Missed(events) => missed += events,
                Heard::Change(told) => taken.push(change(&told)),
            }
        }
        assert!(missed > 0 && !taken.is_empty(), "{missed} missed");
        // That the work began is the first that is missed, and its end the last that is kept.
        let told = (missed - 1..5_000).map(|number| format!("a.s{number} begins"));
        let kept: Vec<_> = told.chain(["is over".to_owned()]).collect();
        assert_eq!(taken, kept, "the newest, in order");
    });
}

/// Each line begins with the number of its work.
const TOLD: &str = "\
0: `run` begins
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
0: is over
1: `materialize` begins
1: run of 2
1: view:orders begins
1: view:orders built
1: view:visits begins
1: view:visits built
1: run ends, true
1: is over
2: `build` begins
2: run of 1
2: dataset:churn begins
2: dataset:churn built
2: run ends, true
2: is over
3: `maintain` begins
3: bronze.customers maintained
3: bronze.events__rejected maintained
3: bronze.events maintained
3: bronze.orders__rejected maintained
3: bronze.orders maintained
3: is over
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
        Box::pin(engine.run(&run, Duration::ZERO, engine.begin("run"), cancel())).await.unwrap();
        let features = FeatureServer::open(&engine, 0.0).await.unwrap();
        features.materialize(&Default::default(), engine.begin("materialize"), cancel()).await.unwrap();
        let dataset = DatasetRequest {
            name: "churn".to_owned(),
            memory_bytes: 64 << 20,
            output: None,
            command: String::new(),
            principal: None,
        };
        engine.build_dataset(&dataset, engine.begin("build"), cancel()).await.unwrap();
        let maintain = MaintainRequest {
            selection: vec!["bronze.*".to_owned()],
            retention: Duration::ZERO,
            command: String::new(),
        };
        engine.maintain(&maintain, Duration::ZERO, engine.begin("maintain"), cancel()).await.unwrap();
        drop((features, engine));
        let (mut works, mut told) = (Vec::new(), String::new());
        while let Some(next) = heard.hear().await {
            let Heard::Change(next) = next else { panic!("nothing is missed") };
            let change = change(&next);
            if change.ends_with("progresses") || change.ends_with("notes") {
                continue;
            }
            if !works.contains(&next.work.id) {
                works.push(next.work.id);
            }
            let work = works.iter().position(|known| *known == next.work.id).unwrap();
            told.push_str(&format!("{work}: {change}\n"));
        }
        assert_eq!(told, TOLD);
    });
}

/// Keeps how far a step is told to be.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<StepProgress>>);

impl Observer for Told {
    fn event(&self, event: &Event) {
        if let Event::StepProgress(progress) = event {
            self.0.lock().unwrap().push(progress.clone());
        }
    }
}

#[test]
fn how_far_a_step_is_never_goes_back() {
    block_on(async {
        let world = World::new(Definition::of(SHOP));
        arrive(&world.definition.script, 0);
        drop(world.online(&Line::quiet()).await);
        let engine = world.engine(&Line::quiet()).await;
        let run = RunRequest { exclude: vec!["view:*".into(), "dataset:*".into()], ..RunRequest::default() };
        let cancel = CancellationToken::new;
        Box::pin(engine.run(&run, Duration::ZERO, engine.begin("run"), cancel())).await.unwrap();
        let dataset = DatasetRequest {
            name: "churn".to_owned(),
            memory_bytes: 64 << 20,
            output: None,
            command: String::new(),
            principal: None,
        };
        let observer = Arc::new(Told::default());
        let events = engine.begin("build").observed_by(observer.clone());
        engine.build_dataset(&dataset, events, cancel()).await.unwrap();
        let told = observer.0.lock().unwrap().clone();
        let rows: Vec<u64> = told.iter().map(|told| told.rows).collect();
        assert!(rows.is_sorted() && rows.last() > rows.first(), "{rows:?}");
        let shares: Vec<f64> =
            told.iter().filter_map(|told| Some(told.rows as f64 / told.rows_total? as f64)).collect();
        assert!(shares.is_sorted() && shares.last() == Some(&1.0), "{shares:?}");
        let mut doings: Vec<_> = told.into_iter().filter_map(|told| told.doing).collect();
        doings.dedup();
        let expected = [
            "reading labels",
            "reading orders",
            "joining orders",
            "reading visits",
            "joining visits",
            "writing",
        ];
        assert_eq!(doings, expected);
    });
}

/// Ends a piece of work as soon as a step of it begins.
struct Hasty {
    names: Names,
    cancel: CancellationToken,
}

impl Observer for Hasty {
    fn event(&self, event: &Event) {
        self.names.event(event);
        if let Event::StepStarted { .. } = event {
            self.cancel.cancel();
        }
    }
}

#[test]
fn a_materialisation_that_is_told_to_end_says_what_it_left_out() {
    block_on(async {
        let world = World::new(Definition::of(SHOP));
        arrive(&world.definition.script, 0);
        drop(world.online(&Line::quiet()).await);
        let engine = world.engine(&Line::quiet()).await;
        let run = RunRequest { exclude: vec!["view:*".into(), "dataset:*".into()], ..RunRequest::default() };
        let events = engine.begin("run");
        Box::pin(engine.run(&run, Duration::ZERO, events, CancellationToken::new())).await.unwrap();
        let features = FeatureServer::open(&engine, 0.0).await.unwrap();
        let cancel = CancellationToken::new();
        let hasty = Arc::new(Hasty { names: Names::default(), cancel: cancel.clone() });
        let events = engine.begin("materialize").observed_by(hasty.clone());
        let done = features.materialize(&Default::default(), events, cancel).await;
        assert_eq!(done.unwrap_err().to_string(), "cancelled");
        let told = hasty.names.0.lock().unwrap().clone();
        let expected = [
            "run of 2",
            "view:orders begins",
            "view:orders cancelled",
            "view:visits cancelled",
            "run ends, false",
        ];
        assert_eq!(told, expected);
        let state = world.state().await;
        let last = state.last_run().await.unwrap().unwrap();
        let steps = state.steps(&last.run).await.unwrap();
        let outcomes: Vec<_> =
            steps.iter().map(|step| format!("{} {}", step.asset, step.outcome.as_str())).collect();
        assert_eq!(outcomes, ["view:orders cancelled", "view:visits cancelled"]);
        assert_eq!(last.outcome.unwrap().as_str(), "cancelled");
        assert_eq!(state.leases(world.clock.now()).await.unwrap().len(), 0);
    });
}
