//! A project that is loaded again: the stores stay open, runs and readers that have begun go on with the project as it was,
//! and later ones use the project as it is then.

use std::{sync::Arc, time::Duration};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use indexmap::IndexMap;
use millstream_engine::{
    Engine, Event, FeatureServer, MaterializeRequest, Observer, PushTo, ReadableName, RunReport, RunRequest,
};
use millstream_features::view::Status;
use tokio_util::sync::CancellationToken;

use crate::harness::{Definition, Line, World, block_on};

const BEFORE: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/events.sql
SELECT id, customer_id, at FROM bronze.events
=== tables/silver/gone.sql
SELECT count(*) AS n FROM silver.events
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  seen: {from: silver.events, time: at, features: {events: {count: \"*\"}}}
services: {s: [seen.*]}
";

/// The project after the change: a table is gone, another one is new, and the view has two features instead of one.
const AFTER: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/events.sql
SELECT id, customer_id, at FROM bronze.events WHERE id > 0
=== tables/silver/last.sql
SELECT max(id) AS id FROM silver.events
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  seen:
    from: silver.events
    time: at
    features: {events: {count: \"*\"}, last: {max: id}}
services: {s: [seen.*]}
";

const ROWS: &str =
    "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";

async fn world() -> World {
    let world = World::new(Definition::of(BEFORE));
    world.definition.script.put("events", "a", ROWS);
    drop(world.online(&Line::quiet()).await);
    world
}

/// The project as it is after the change.
fn after(world: &World) -> Arc<millstream_engine::Project> {
    Definition::with_script_at(AFTER, world.definition.script.clone(), &world.definition).project
}

async fn run(engine: &Engine, observer: Option<Arc<dyn Observer>>) -> RunReport {
    let mut events = engine.begin("test");
    if let Some(observer) = observer {
        events = events.observed_by(observer);
    }
    let request = RunRequest::default();
    Box::pin(engine.run(&request, Duration::ZERO, events, CancellationToken::new())).await.unwrap()
}

fn lines(report: &RunReport) -> Vec<String> {
    report.steps.iter().map(|step| format!("{} {}", step.asset, step.outcome.as_str())).collect()
}

/// The number of events of a customer, with its status.
async fn count(server: &FeatureServer, customer: i64) -> (Option<i64>, Status) {
    let readable = server.readable(ReadableName::Service { name: "s", version: None }).unwrap();
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![customer]));
    let columns: IndexMap<String, ArrayRef> = [("customer_id".to_owned(), keys)].into();
    let read = server.read(&readable, &columns, 1, None, None).await.unwrap();
    (read[0].values.as_primitive::<Int64Type>().iter().next().flatten(), read[0].statuses[0])
}

/// The features of customer 1, by the service's version.
async fn read(server: &FeatureServer, version: Option<i64>) -> Vec<Option<i64>> {
    let readable = server.readable(ReadableName::Service { name: "s", version }).unwrap();
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let columns: IndexMap<String, ArrayRef> = [("customer_id".to_owned(), keys)].into();
    let read = server.read(&readable, &columns, 1, None, None).await.unwrap();
    let value = |column: &ArrayRef| {
        let column = column.as_primitive::<Int64Type>();
        column.iter().next().flatten()
    };
    read.iter().map(|column| value(&column.values)).collect()
}

async fn push(server: &FeatureServer, id: i64) {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let definition = server.view("seen").unwrap();
    let columns: Vec<(Field, ArrayRef)> = definition
        .rows
        .columns
        .iter()
        .map(|column| {
            let values: ArrayRef = match column.name.as_str() {
                "id" => Arc::new(Int64Array::from(vec![id])),
                "customer_id" => Arc::new(Int64Array::from(vec![1])),
                _ => {
                    let at = TimestampMicrosecondArray::from(vec![1_780_480_000_000_000]);
                    Arc::new(at.with_data_type(instant.clone()))
                }
            };
            (Field::new(&column.name, column.data_type.clone(), true), values)
        })
        .collect();
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert_eq!(server.push("seen", rows, PushTo::OnlineAndOffline).await.unwrap(), 1);
}

#[test]
fn what_comes_later_follows_the_project_as_it_is_then() {
    block_on(async {
        let world = world().await;
        let engine = world.engine(&Line::quiet()).await;
        let first = lines(&run(&engine, None).await);
        assert_eq!(
            first,
            [
                "bronze.events built",
                "service:s built",
                "silver.events built",
                "silver.gone built",
                "view:seen built"
            ]
        );
        let server = FeatureServer::open(&engine, 0.0).await.unwrap();
        push(&server, 7).await;
        assert_eq!(read(&server, None).await, [Some(3)]);

        let reloaded = engine.reloaded(after(&world)).unwrap();
        let changed = FeatureServer::open(&reloaded, 0.0).await.unwrap();
        // Both servers serve the earlier version of the service, with the rows that were pushed to either.
        push(&server, 8).await;
        push(&changed, 9).await;
        assert_eq!(read(&server, None).await, [Some(5)]);
        assert_eq!(read(&changed, Some(1)).await, [Some(5)]);
        let second = lines(&run(&reloaded, None).await);
        assert_eq!(
            second,
            ["silver.events built", "service:s built", "silver.last built", "view:seen built"]
        );
        assert_eq!(read(&changed, None).await, [Some(5), Some(9)]);
        assert_eq!(read(&server, None).await, [Some(5)]);
        let again = run(&reloaded, None).await;
        assert!(again.steps.is_empty(), "{:?}", lines(&again));
        changed.close().await.unwrap();
    });
}

#[test]
fn a_view_without_values_says_so_until_it_has_them() {
    block_on(async {
        let world = world().await;
        let engine = world.engine(&Line::quiet()).await;
        run(&engine, None).await;
        let server = FeatureServer::open(&engine, 0.0).await.unwrap();
        assert_eq!(count(&server, 2).await, (Some(1), Status::Present));
        assert_eq!(count(&server, 4).await, (Some(0), Status::Missing));

        let reloaded = engine.reloaded(after(&world)).unwrap();
        let changed = FeatureServer::open(&reloaded, 0.0).await.unwrap();
        assert_eq!(changed.never_materialized().await.unwrap(), ["seen"]);
        for customer in [2, 4] {
            assert_eq!(count(&changed, customer).await, (None, Status::Degraded));
        }
        run(&reloaded, None).await;
        assert_eq!(count(&changed, 2).await, (Some(1), Status::Present));
        assert_eq!(count(&changed, 4).await, (Some(0), Status::Missing));
        assert!(changed.never_materialized().await.unwrap().is_empty());
        changed.close().await.unwrap();
    });
}

#[test]
fn a_version_answers_on_while_another_feature_of_its_view_has_no_values_yet() {
    block_on(async {
        let of_events = |text: &str| text.replace("[seen.*]", "[seen.events]");
        let world = World::new(Definition::of(&of_events(BEFORE)));
        world.definition.script.put("events", "a", ROWS);
        drop(world.online(&Line::quiet()).await);
        let engine = world.engine(&Line::quiet()).await;
        run(&engine, None).await;
        let server = FeatureServer::open(&engine, 0.0).await.unwrap();
        assert_eq!(read(&server, Some(1)).await, [Some(2)]);

        let script = world.definition.script.clone();
        let after = Definition::with_script_at(&of_events(AFTER), script, &world.definition).project;
        let reloaded = engine.reloaded(after).unwrap();
        let changed = FeatureServer::open(&reloaded, 0.0).await.unwrap();
        assert_eq!(changed.never_materialized().await.unwrap(), ["seen"]);
        push(&changed, 7).await;
        for version in [None, Some(1)] {
            assert_eq!(read(&changed, version).await, [Some(3)]);
        }
        // The records that the version reads are kept up to date until the others take over.
        world.definition.script.append("events", "a", "4,1,2026-06-03T00:00:00Z");
        run(&reloaded, None).await;
        push(&changed, 8).await;
        for version in [None, Some(1)] {
            assert_eq!(read(&changed, version).await, [Some(5)]);
        }
        let opened = FeatureServer::open(&reloaded, 0.0).await.unwrap();
        let versions: Vec<_> =
            opened.services().iter().map(|known| (known.version, known.next.is_some())).collect();
        assert_eq!(versions, [(1, false)]);
        assert_eq!(read(&opened, None).await, [Some(5)]);
        changed.close().await.unwrap();
    });
}

/// Loads the project again in the midst of a run.
struct Reloader {
    engine: Engine,
    project: Arc<millstream_engine::Project>,
    reloaded: std::sync::Mutex<Option<Engine>>,
}

impl Observer for Reloader {
    fn event(&self, event: &Event) {
        if let Event::StepFinished(step) = event
            && step.asset.as_str() == "bronze.events"
        {
            let engine = self.engine.reloaded(self.project.clone()).unwrap();
            *self.reloaded.lock().unwrap() = Some(engine);
        }
    }
}

#[test]
fn a_run_goes_on_as_it_began() {
    block_on(async {
        let world = world().await;
        let engine = world.engine(&Line::quiet()).await;
        let reloader =
            Reloader { engine: engine.clone(), project: after(&world), reloaded: Default::default() };
        let reloader = Arc::new(reloader);
        let report = run(&engine, Some(reloader.clone())).await;
        assert!(report.succeeded());
        let built = ["bronze.events", "service:s", "silver.events", "silver.gone", "view:seen"];
        assert_eq!(lines(&report), built.map(|asset| format!("{asset} built")));
        let reloaded = reloader.reloaded.lock().unwrap().take().unwrap();
        let changed = lines(&run(&reloaded, None).await);
        assert_eq!(
            changed,
            ["silver.events built", "service:s built", "silver.last built", "view:seen built"]
        );
    });
}

#[test]
fn features_that_a_run_opens_are_not_its_own_while_others_have_them() {
    block_on(async {
        let world = world().await;
        let engine = world.engine(&Line::quiet()).await;
        let server = FeatureServer::open(&engine, 0.0).await.unwrap();
        push(&server, 7).await;
        // The run opens the features for another state of the project than the server has.
        let reloaded = engine.reloaded(after(&world)).unwrap();
        assert!(run(&reloaded, None).await.succeeded());
        let changed = FeatureServer::open(&reloaded, 0.0).await.unwrap();
        // The row was pushed before there was a feature of its id.
        assert_eq!(read(&changed, None).await, [Some(3), Some(2)]);
        let request = MaterializeRequest::default();
        let done =
            changed.materialize(&request, reloaded.begin("test"), CancellationToken::new()).await.unwrap();
        assert_eq!(done.failures.len(), 0);
        assert_eq!(read(&changed, None).await, [Some(3), Some(2)]);
    });
}

/// The table of pushed rows has versions of its own, and comes before the view's table by name.
#[test]
fn the_version_that_is_told_of_a_view_is_that_of_its_table() {
    block_on(async {
        let world = world().await;
        let engine = world.engine(&Line::quiet()).await;
        assert!(run(&engine, None).await.succeeded());
        let server = FeatureServer::open(&engine, 0.0).await.unwrap();
        for (id, pushed) in [(7, 0), (8, 1)] {
            push(&server, id).await;
            let request = MaterializeRequest::default();
            let done = server.materialize(&request, engine.begin("test"), CancellationToken::new()).await;
            let told: Vec<_> = done
                .unwrap()
                .reports
                .into_iter()
                .map(|report| (report.versions.into_values().collect::<Vec<_>>(), report.table_version))
                .collect();
            assert_eq!(told, [(vec![pushed, 0], Some(0))]);
        }
    });
}

#[test]
fn a_project_that_keeps_its_data_elsewhere_is_refused() {
    block_on(async {
        let world = world().await;
        let engine = world.engine(&Line::quiet()).await;
        let check = |settings: &str, what: &str| {
            let text = format!("=== millstream.yaml\n{settings}\n{BEFORE}");
            let script = world.definition.script.clone();
            let moved = Definition::with_script_at(&text, script, &world.definition).project;
            let error = engine.reloaded(moved).unwrap_err();
            assert_eq!(error.code(), "MS-0737");
            assert_eq!(error.to_string(), format!("{what} is another than when this process started"));
            assert!(error.hint().is_some());
        };
        check("name: another", "the project's `name`");
        check("name: world\nenvironments: {default: {lake: elsewhere}}", "`lake`");
        check("name: world\nenvironments: {default: {state: \"sqlite:other.db\"}}", "`state`");
        check("name: world\nenvironments: {default: {online: \"redis://u:secret@h\"}}", "`online`");
        let other = Definition::with_script(BEFORE, world.definition.script.clone());
        let error = engine.reloaded(other.project).unwrap_err();
        assert_eq!(error.to_string(), "the project's folder is another than when this process started");
    });
}
