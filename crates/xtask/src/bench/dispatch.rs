//! A project of 500 sources that run by themselves: how fast steps that find nothing to do go through, each on record before and
//! after; how soon after its tick a step is at work; what `serve` costs while nothing is due; how soon it can be asked when 100,000
//! runs are on record; and how much memory it has after 1,000 and after 100,000 steps.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use chrono::DateTime;
use serde_json::Value;

use super::{
    Context, Row,
    project::Project,
    serving::{Server, get, metric, post},
    table::Target,
};
use crate::{Result, process};

const SOURCES: usize = 500;
const RUNS: usize = 100_000;
/// The ticks of the one source that has them, in seconds, and for how many of them a run is watched.
const TICK_SECONDS: i64 = 2;
const TICKS: usize = 10;
/// How long an idle server is watched.
const IDLE: Duration = Duration::from_secs(20);
/// The steps after which memory is looked at.
const STEPS_FEW: usize = 1_000;
const STEPS_MANY: usize = 100_000;
/// How long all sources may take to be looked at.
const ANSWERED_MAX: Duration = Duration::from_secs(120);

/// The figures of `/metrics` that say how many steps wait and how many run.
const WAITING: &str = "millstream_schedule_queue_depth";
const RUNNING: &str = "millstream_schedule_running_steps";

const STEPS_PER_SECOND_MIN: f64 = 1_000.0;
const TICK_TO_START_MAX: f64 = 0.05;
const IDLE_SHARE_MAX: f64 = 0.01;
const RESIDENT_BYTES_MAX: f64 = 100.0 * (1 << 20) as f64;
const START_SECONDS_MAX: f64 = 0.5;
const MEMORY_RATIO_MAX: f64 = 1.2;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let project = Project::new(context.folder.join("dispatch"))?;
    write(&project)?;
    context.once(&context.run_project(&project.folder))?;
    let mut filled = Command::new(context.example("many_runs")?);
    filled.arg(project.folder.join(".millstream/state.db")).arg(RUNS.to_string());
    process::run(&mut filled)?;
    let server = Server::millstream(context, &project.folder)?;
    let mut rows = vec![Row::figure(
        format!("start of serve, {RUNS} recorded runs"),
        server.start_seconds,
        Target::Seconds(START_SECONDS_MAX),
    )];
    rows.push(tick_to_start(&server, &project)?);
    let mut rates = Vec::with_capacity(context.rounds);
    for _ in 0..context.rounds {
        rates.push(steps_per_second(&server)?);
    }
    rates.sort_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN);
    rows.push(Row::figure(
        "empty steps by schedule, on record",
        rate,
        Target::PerSecond(STEPS_PER_SECOND_MIN),
    ));
    rows.extend(idle(&server)?);
    drop(server);
    rows.push(memory_after_steps(&Server::millstream(context, &project.folder)?)?);
    Ok(rows)
}

/// The longest time between a tick and the start of its run, among the last ones. A file arrives before each tick, so that its step
/// has something to do and is on record: when it was due, and when it was at work, which is after it has looked at its source.
fn tick_to_start(server: &Server, project: &Project) -> Result<Row> {
    for tick in 0..=TICKS {
        project.file(&format!("data/ticks/{tick}.csv"), "id\n1\n")?;
        thread::sleep(Duration::from_secs(u64::try_from(TICK_SECONDS)?));
    }
    thread::sleep(Duration::from_secs(1));
    let runs = get(&server.address, "/v1/runs?limit=100")?;
    let runs = runs["runs"].as_array().ok_or("the server tells no runs")?;
    let is_tick = |run: &&Value| {
        run["command"].as_str().is_some_and(|command| command.starts_with("serve: bronze.ticks, every"))
    };
    let (mut latest, mut seen) = (0.0_f64, 0);
    for run in runs.iter().filter(is_tick).take(TICKS) {
        let late = instant(&run["started"])? - instant(&run["asked"])?;
        latest = latest.max(Duration::from_micros(u64::try_from(late.max(0))?).as_secs_f64());
        seen += 1;
    }
    if seen < TICKS {
        return Err(format!("{seen} of {TICKS} ticks have a run").into());
    }
    Ok(Row::figure(
        format!("tick to start, the slowest of {TICKS}"),
        latest,
        Target::Seconds(TICK_TO_START_MAX),
    ))
}

/// Calls the webhook for which all sources wait, and takes the time until the last of their steps has ended on record.
fn steps_per_second(server: &Server) -> Result<f64> {
    let began = Instant::now();
    run_all(server)?;
    #[allow(clippy::cast_precision_loss, reason = "there are few sources")]
    Ok(SOURCES as f64 / began.elapsed().as_secs_f64())
}

/// Calls the webhook for which all sources wait, and waits until all their steps have ended.
fn run_all(server: &Server) -> Result<()> {
    let began = Instant::now();
    post(&server.address, "/v1/triggers/all", "")?;
    loop {
        let (waiting, running) = (metric(&server.address, WAITING)?, metric(&server.address, RUNNING)?);
        if waiting + running < 0.5 {
            return Ok(());
        }
        if began.elapsed() > ANSWERED_MAX {
            return Err(format!("{waiting} steps of {SOURCES} wait and {running} run").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The memory of a server that has just started after many steps by schedule, beside that after few: what it keeps does not grow
/// with what it did.
fn memory_after_steps(server: &Server) -> Result<Row> {
    let after = |steps: usize| -> Result<f64> {
        for _ in 0..steps / SOURCES {
            run_all(server)?;
        }
        server.resident_bytes()
    };
    let few = after(STEPS_FEW)?;
    let many = after(STEPS_MANY - STEPS_FEW)?;
    let what = format!("serve: memory after {STEPS_MANY} steps by schedule");
    Ok(Row::figure(what, many, Target::BytesRatio(MEMORY_RATIO_MAX))
        .beside(format!("after {STEPS_FEW}"), few))
}

/// An instant of the API, in microseconds.
fn instant(value: &Value) -> Result<i64> {
    let text = value.as_str().ok_or("an instant is missing")?;
    Ok(DateTime::parse_from_rfc3339(text)?.timestamp_micros())
}

/// The share of a core and the memory of a server of which nothing is asked, but for the one source that ticks.
fn idle(server: &Server) -> Result<[Row; 2]> {
    thread::sleep(Duration::from_secs(5));
    let before = server.cpu_seconds()?;
    thread::sleep(IDLE);
    let share = (server.cpu_seconds()? - before) / IDLE.as_secs_f64();
    let what = format!("serve, {SOURCES} scheduled assets");
    Ok([
        Row::figure(format!("{what}: share of a core"), share, Target::Share(IDLE_SHARE_MAX)),
        Row::figure(format!("{what}: memory"), server.resident_bytes()?, Target::Bytes(RESIDENT_BYTES_MAX)),
    ])
}

/// Sources that wait for one webhook and are far from their tick, and one that ticks.
fn write(project: &Project) -> Result<()> {
    // A file that has just come is whole here, so that no step looks at it twice.
    let source = |name: &str, path: &str, schedule: &str| -> Result<()> {
        let text = format!(
            "connector: {{type: files, path: {path}, settle: 0}}\nschedule: {schedule}\ncontract: {{columns: {{id: {{type: int64}}}}}}\n"
        );
        project.file(&format!("sources/{name}.yaml"), &text)
    };
    for place in 0..SOURCES {
        let path = format!("data/s{place}.csv");
        project.file(&path, "id\n1\n")?;
        source(&format!("s{place}"), &path, "{every: 1w, webhook: all}")?;
    }
    project.file("data/ticks/first.csv", "id\n1\n")?;
    source("ticks", "data/ticks/*.csv", &format!("every {TICK_SECONDS}s"))
}
