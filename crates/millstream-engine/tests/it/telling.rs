//! What runs leave behind for those who want to know: figures, receipts, and messages for receivers outside.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::RunRequest;
use millstream_state::{Message, Moment, Proof, RunOutcome, State, StepOutcome, StepRecord};
use millstream_telemetry::Metrics;
use millstream_types::TimestampMicros;
use serde_json::Value;

use crate::harness::{Act, Call, Definition, Ended, Harm, Injection, Line, World, block_on};

/// A source, a table that keeps each row, one that leaves some out, and one that counts.
const PROJECT: &str = "
=== millstream.yaml
name: world
prices: {cpu_hour: 3600, gb_read: 1, currency: EUR}
telemetry:
  openlineage: {url: 'http://127.0.0.1:1/api/v1/lineage'}
  otlp: {endpoint: 'http://127.0.0.1:1'}
=== sources/a.yaml
connector: {type: scripted, place: a}
contract: {columns: {id: {type: int64, required: true}, note: {type: string}}}
=== tables/silver/each.sql
SELECT id, upper(note) AS note FROM bronze.a
=== tables/silver/some.sql
SELECT id FROM silver.each WHERE id > 1
=== tables/gold/counted.sql
SELECT note, count(*) AS rows FROM silver.each GROUP BY note
";

fn world() -> World {
    let world = World::new(Definition::of(PROJECT));
    // One row has no id, which the contract wants.
    world.definition.script.put("a", "x", "id,note\n1,p\n2,p\n3,q\n,r");
    world
}

async fn steps(state: &State) -> Vec<StepRecord> {
    let run = state.last_run().await.unwrap().unwrap();
    state.steps(&run.run).await.unwrap()
}

fn of<'a>(steps: &'a [StepRecord], asset: &str) -> &'a StepRecord {
    steps.iter().find(|step| step.asset.as_str() == asset).unwrap()
}

#[test]
fn a_step_records_what_it_used_and_where_its_rows_went() {
    block_on(async {
        let world = world();
        world.definition.script.fail("a", Call::Read, Harm::Passing, 1);
        world.run().await;
        let state = world.state().await;
        let steps = steps(&state).await;
        let landed = of(&steps, "bronze.a").figures.clone().unwrap();
        assert_eq!((landed.retries, landed.waited_for.is_none()), (Some(1), true));
        assert!(landed.cpu_us.unwrap() > 0 && landed.bytes_read.unwrap() > 0, "{landed:?}");
        assert!(landed.bytes_written.unwrap() > 0 && landed.queued_us().is_some(), "{landed:?}");
        let cost = landed.cost.unwrap();
        assert_eq!((cost.currency.as_str(), cost.cpu), ("EUR", landed.cpu_us.unwrap()));
        let receipt = landed.receipt.unwrap();
        let told =
            (receipt.proof, receipt.rows_in, receipt.rows_out, receipt.rows_rejected, receipt.rows_filtered);
        assert_eq!(told, (Proof::EachRow, Some(4), 3, 1, Some(0)));
        for (asset, proof, rows_in, made, filtered) in [
            ("silver.each", Proof::EachRow, Some(3), 3, Some(0)),
            ("silver.some", Proof::EachRow, Some(3), 2, Some(1)),
            ("gold.counted", Proof::RowsMade, Some(3), 2, None),
        ] {
            let figures = of(&steps, asset).figures.clone().unwrap();
            let receipt = figures.receipt.unwrap();
            assert!(receipt.holds(), "{asset}: {receipt:?}");
            let told = (receipt.proof, receipt.rows_in, receipt.rows_made, receipt.rows_filtered);
            assert_eq!(told, (proof, rows_in, made, filtered), "{asset}");
            assert_eq!(figures.inputs.len(), 1, "{asset}");
            assert!(figures.waited_for.is_some() && figures.definition.is_some(), "{asset}: {figures:?}");
        }
        let counted = of(&steps, "gold.counted").figures.clone().unwrap();
        assert!(counted.memory_peak.is_some(), "an aggregation counts its memory: {counted:?}");
    });
}

#[test]
fn rows_that_get_lost_fail_the_step_before_anything_is_visible() {
    block_on(async {
        let world = world();
        world.run().await;
        let before = world.rows("silver.each").await;
        // The log of the source's table tells of a row that its file does not have.
        let log = "lake/bronze/a/_delta_log/00000000000000000000.json";
        let text = String::from_utf8(world.shelf.read(log).await.to_vec()).unwrap();
        let more = text.replace(r#"\"numRecords\":3"#, r#"\"numRecords\":4"#);
        assert_ne!(text, more, "{text}");
        world.shelf.replace(log, more).await;
        let again =
            RunRequest { selection: vec!["silver.each".into()], full_refresh: true, ..RunRequest::default() };
        world.act(&Act::Run(again)).await;
        let state = world.state().await;
        let steps = steps(&state).await;
        let StepOutcome::Failed { code, error, hint } = &of(&steps, "silver.each").outcome else {
            panic!("{steps:#?}");
        };
        assert_eq!(code, "MS-0775");
        let expected =
            "`silver.each` does not account for all of its rows: 4 read, 3 written + 0 rejected + 0 left out";
        assert_eq!(error, expected);
        assert!(hint.as_ref().unwrap().contains("nothing was committed"));
        assert_eq!(world.rows("silver.each").await, before);
    });
}

#[test]
fn figures_of_an_incremental_table_are_those_of_the_new_rows() {
    let project = PROJECT.replace(
        "SELECT id, upper(note) AS note FROM bronze.a",
        "/*---\nmaterialize: incremental\n---*/\nSELECT id, upper(note) AS note FROM bronze.a",
    );
    block_on(async {
        let mut world = world();
        world.define(&project);
        world.run().await;
        world.definition.script.put("a", "y", "id,note\n7,z");
        world.run().await;
        let state = world.state().await;
        let receipt = of(&steps(&state).await, "silver.each").figures.clone().unwrap().receipt.unwrap();
        assert!(receipt.holds());
        assert_eq!((receipt.proof, receipt.rows_in, receipt.rows_out), (Proof::EachRow, Some(1), 1));
    });
}

async fn messages(state: &State, receiver: &str) -> Vec<Message> {
    let (now, length) = (TimestampMicros(0), Duration::from_secs(1));
    let claim = state.claim_messages(receiver, 1_000, now, length).await.unwrap();
    let places: Vec<_> = claim.messages.iter().map(|message| message.place).collect();
    state.end_claim(&claim, &places, &[]).await.unwrap();
    claim.messages
}

fn json(message: &Message) -> Value {
    serde_json::from_str(&message.message).unwrap()
}

/// `START world.run`, and so on.
fn told(messages: &[Message]) -> Vec<String> {
    let line = |event: Value| {
        let (kind, job) = (event["eventType"].as_str().unwrap(), event["job"]["name"].as_str().unwrap());
        format!("{kind} {job}")
    };
    messages.iter().map(json).map(line).collect()
}

#[test]
fn runs_and_steps_are_told_with_what_they_made() {
    block_on(async {
        let world = world();
        world.run().await;
        let state = world.state().await;
        let events = messages(&state, "openlineage").await;
        let expected = [
            "START world.run",
            "START world.bronze.a",
            "COMPLETE world.bronze.a",
            "START world.silver.each",
            "COMPLETE world.silver.each",
            "START world.silver.some",
            "COMPLETE world.silver.some",
            "START world.gold.counted",
            "COMPLETE world.gold.counted",
            "COMPLETE world.run",
        ];
        let mut sorted = told(&events);
        assert_eq!(
            (sorted.first().unwrap().as_str(), sorted.last().unwrap().as_str()),
            ("START world.run", "COMPLETE world.run")
        );
        let mut expected = expected.map(str::to_owned).to_vec();
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected);
        let end = events
            .iter()
            .map(json)
            .find(|event| event["eventType"] == "COMPLETE" && event["job"]["name"] == "world.gold.counted");
        let end = end.unwrap();
        let run = json(&events[0])["run"]["runId"].clone();
        assert_eq!(end["run"]["facets"]["parent"]["run"]["runId"], run);
        let output = &end["outputs"][0];
        assert_eq!(output["namespace"], "file");
        assert!(output["name"].as_str().unwrap().ends_with("/.millstream/lake/gold/counted"), "{output}");
        assert_eq!(output["facets"]["schema"]["fields"][1]["name"], "rows");
        let inputs = &output["facets"]["columnLineage"]["fields"]["rows"]["inputFields"];
        assert!(inputs.as_array().is_some(), "{output:#}");
        let of_rows = &output["facets"]["columnLineage"]["dataset"][0];
        assert_eq!(
            (&of_rows["field"], &of_rows["transformations"][0]["subtype"]),
            (&"note".into(), &"GROUP_BY".into())
        );
        assert_eq!(output["outputFacets"]["outputStatistics"]["rowCount"], 2);
        assert_eq!(end["job"]["facets"]["sql"]["dialect"], "datafusion");
        // Spans: four of steps, one of the run, all in one trace.
        let spans = messages(&state, "otlp_traces").await;
        let spans: Vec<_> = spans
            .iter()
            .map(|message| json(message)["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone())
            .collect();
        assert_eq!(spans.len(), 5);
        let root = spans.last().unwrap();
        assert!(root.get("parentSpanId").is_none() && root["name"] == "run");
        for span in &spans[..4] {
            assert_eq!(span["parentSpanId"], root["spanId"]);
            assert_eq!(span["traceId"], root["traceId"]);
            assert_eq!(
                (span["spanId"].as_str().unwrap().len(), span["traceId"].as_str().unwrap().len()),
                (16, 32)
            );
        }
    });
}

#[test]
fn work_whose_process_died_is_told_to_have_ended_by_the_next() {
    block_on(async {
        let world = world();
        // The first run dies when its first step is about to be recorded.
        let line = Line::quiet();
        world.fork().act_on(&Act::Run(RunRequest::default()), &line).await;
        let points = line.points();
        let at = points.iter().position(|point| point.what.contains("record the step")).unwrap();
        let line = Line::harmed(Injection { at, moment: Moment::Before, harm: Harm::Death });
        assert_eq!(world.act_on(&Act::Run(RunRequest::default()), &line).await, Ended::Died);
        let state = world.state().await;
        let first = messages(&state, "openlineage").await;
        assert_eq!(told(&first), ["START world.run", "START world.bronze.a"]);
        drop(state);
        world.clock.pass(3_600);
        world.run().await;
        let state = world.state().await;
        let runs = state.runs(2).await.unwrap();
        assert_eq!(runs[1].outcome, Some(RunOutcome::Interrupted));
        let second = messages(&state, "openlineage").await;
        let aborted: Vec<_> = second.iter().filter(|event| json(event)["eventType"] == "ABORT").collect();
        let ids = |events: &[&Message]| -> Vec<Value> {
            events.iter().map(|event| json(event)["run"]["runId"].clone()).collect()
        };
        // They are told under the ids with which they began, at the time at which the next run found them.
        assert_eq!(ids(&aborted), ids(&first.iter().rev().collect::<Vec<_>>()));
        assert!(aborted.iter().all(|event| event.at.0 - first[0].at.0 >= 3_600_000_000), "{aborted:?}");
    });
}

#[test]
fn a_failed_step_is_told_with_its_error() {
    block_on(async {
        let world = world();
        world.definition.script.fail("a", Call::Read, Harm::Lasting, 1);
        world.act(&Act::Run(RunRequest::default())).await;
        let state = world.state().await;
        let events = messages(&state, "openlineage").await;
        // What is skipped never began.
        let expected = ["START world.run", "START world.bronze.a", "FAIL world.bronze.a", "FAIL world.run"];
        assert_eq!(told(&events), expected);
        let failed = json(&events[2]);
        // A step that failed has made no version, of which nothing is told.
        assert_eq!(failed["outputs"][0]["facets"]["dataQualityMetrics"], Value::Null);
        let error = &failed["run"]["facets"]["errorMessage"];
        assert!(error["message"].as_str().unwrap().contains("(MS-"), "{error}");
        assert_eq!(error["programmingLanguage"], "RUST");
        let logs = messages(&state, "otlp_logs").await;
        assert_eq!(
            json(&logs[0])["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityText"],
            "ERROR"
        );
    });
}

/// A receiver over HTTP that answers with the status that `answer` gives to a message, and keeps those that it took.
fn receiver(answer: fn(&str) -> u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/lineage", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let all = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(&mut stream.unwrap(), answer, &all);
        }
    });
    (url, taken)
}

/// Answers the messages of one connection, until it is closed.
fn serve(stream: &mut TcpStream, answer: fn(&str) -> u16, taken: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let message = String::from_utf8(body).unwrap();
        let status = answer(&message);
        if status == 200 {
            taken.lock().unwrap().push(message);
        }
        if write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// A world whose events of OpenLineage go to that address, and nothing else.
fn world_with_receiver(url: &str) -> World {
    let mut world = world();
    let project = PROJECT.replace("http://127.0.0.1:1/api/v1/lineage", url);
    world.define(&project.replace("  otlp: {endpoint: 'http://127.0.0.1:1'}\n", ""));
    world
}

/// Longer than a receiver on this machine needs; nothing waits so long.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_message_at_which_its_receiver_fails_holds_up_no_others() {
    let (url, taken) = receiver(|message| {
        let is_of_each = message.contains(r#""name":"world.silver.each"#);
        if is_of_each { 500 } else { 200 }
    });
    block_on(async {
        let world = world_with_receiver(&url);
        world.run().await;
        let engine = world.engine(&Line::quiet()).await;
        let metrics = Arc::new(Metrics::new().unwrap());
        let sending = engine.sending().unwrap().unwrap().counted(metrics.clone());
        let state = world.state().await;
        // Two messages are refused, five times each; the next one is taken, which shows that the receiver is well.
        for _ in 0..8 {
            sending.drain(PATIENCE).await;
        }
        assert!(state.messages_waiting("openlineage").await.unwrap() > 0);
        for _ in 0..2 {
            sending.drain(PATIENCE).await;
        }
        assert_eq!(state.messages_waiting("openlineage").await.unwrap(), 0);
        let taken = taken.lock().unwrap();
        let jobs: Vec<_> = taken
            .iter()
            .map(|message| {
                let event: Value = serde_json::from_str(message).unwrap();
                format!("{} {}", event["eventType"].as_str().unwrap(), event["job"]["name"].as_str().unwrap())
            })
            .collect();
        assert_eq!(jobs.len(), 8, "{jobs:?}");
        assert_eq!((jobs[0].as_str(), jobs[7].as_str()), ("START world.run", "COMPLETE world.run"));
        let text = metrics.text().unwrap().0;
        let dropped = r#"millstream_telemetry_dropped_messages_total{receiver="openlineage"} 2"#;
        assert!(text.contains(dropped), "{text}");
    });
}

#[test]
fn a_receiver_that_takes_no_message_loses_none() {
    for answer in [|_: &str| 500, |_: &str| 503, |_: &str| 401] {
        let (url, taken) = receiver(answer);
        block_on(async {
            let world = world_with_receiver(&url);
            world.run().await;
            let engine = world.engine(&Line::quiet()).await;
            let sending = engine.sending().unwrap().unwrap();
            for _ in 0..20 {
                sending.drain(PATIENCE).await;
            }
            assert_eq!(world.state().await.messages_waiting("openlineage").await.unwrap(), 10);
            assert_eq!(taken.lock().unwrap().len(), 0);
        });
    }
}

#[test]
fn nothing_is_told_where_nobody_asks() {
    let project = PROJECT.replace("telemetry:", "description: >").replace("prices:", "pools: {} #");
    block_on(async {
        let world = World::new(Definition::of(&project));
        world.definition.script.put("a", "x", "id,note\n1,p");
        world.run().await;
        let state = world.state().await;
        for receiver in ["openlineage", "otlp_traces", "otlp_logs"] {
            assert_eq!(state.messages_waiting(receiver).await.unwrap(), 0);
        }
        assert!(of(&steps(&state).await, "bronze.a").figures.clone().unwrap().cost.is_none());
    });
}

#[test]
fn the_log_of_a_step_is_kept_with_its_run() {
    block_on(async {
        let world = world();
        world.definition.script.fail("a", Call::Read, Harm::Passing, 2);
        world.run().await;
        let state = world.state().await;
        let run = state.last_run().await.unwrap().unwrap().run;
        let lines = state.step_log(&run, None, 100).await.unwrap();
        let told: Vec<_> =
            lines.iter().map(|it| format!("{} {} {}", it.asset, it.line.line, it.line.level)).collect();
        assert_eq!(told, ["bronze.a 0 error", "bronze.a 1 error"]);
        assert!(lines[0].line.message.starts_with("an attempt has failed: "), "{lines:?}");
        // Another run has a log of its own.
        world.clock.pass(3_600);
        world.definition.script.put("a", "y", "id,note,more\n8,z,1");
        world.act(&Act::Run(RunRequest::default())).await;
        let run = state.last_run().await.unwrap().unwrap().run;
        let lines = state.step_log(&run, None, 100).await.unwrap();
        assert!(lines.iter().all(|it| it.asset.as_str() == "bronze.a"), "{lines:?}");
    });
}
