//! A project of 500 sources that run by themselves: how fast steps that find nothing to do are started, each on record before and
//! after; how soon after its tick a step starts; what `serve` costs while nothing is due; and how soon it can be asked when 100,000
//! runs are on record.

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
    serving::{Server, get, post},
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
/// How long all sources may take to be looked at.
const ANSWERED_MAX: Duration = Duration::from_secs(120);

const STEPS_PER_SECOND_MIN: f64 = 1_000.0;
const TICK_TO_START_MAX: f64 = 0.05;
const IDLE_SHARE_MAX: f64 = 0.01;
const RESIDENT_BYTES_MAX: f64 = 100.0 * (1 << 20) as f64;
const START_SECONDS_MAX: f64 = 0.5;

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
    rows.push(tick_to_start(&server)?);
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
    Ok(rows)
}

/// The longest time between a tick and the start of its step, among the last ones.
fn tick_to_start(server: &Server) -> Result<Row> {
    let span = Duration::from_secs(u64::try_from(TICK_SECONDS)? * u64::try_from(TICKS)?);
    thread::sleep(span + Duration::from_secs(2));
    let mut latest: f64 = 0.0;
    for at in starts(server, "bronze.ticks")?.into_iter().take(TICKS) {
        let micros = at.rem_euclid(TICK_SECONDS * 1_000_000);
        latest = latest.max(Duration::from_micros(u64::try_from(micros)?).as_secs_f64());
    }
    Ok(Row::figure(
        format!("tick to start, the slowest of {TICKS}"),
        latest,
        Target::Seconds(TICK_TO_START_MAX),
    ))
}

/// Calls the webhook for which all sources wait, and takes the time from the first start to the last.
fn steps_per_second(server: &Server) -> Result<f64> {
    let before = starts(server, "bronze.s")?.into_iter().max().unwrap_or(0);
    post(&server.address, "/v1/triggers/all", "")?;
    let began = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(200));
        let mut started: Vec<i64> =
            starts(server, "bronze.s")?.into_iter().filter(|at| *at > before).collect();
        started.sort_unstable();
        match started.as_slice() {
            [first, .., last] if started.len() >= SOURCES => {
                let took = Duration::from_micros(u64::try_from(last - first)?);
                #[allow(clippy::cast_precision_loss, reason = "there are few sources")]
                return Ok((started.len() - 1) as f64 / took.as_secs_f64());
            }
            _ if began.elapsed() > ANSWERED_MAX => {
                return Err(format!("{} of {SOURCES} steps started", started.len()).into());
            }
            _ => {}
        }
    }
}

/// The instants, in microseconds, at which steps of assets with this beginning of their name were started, the newest first.
fn starts(server: &Server, asset: &str) -> Result<Vec<i64>> {
    let schedule = get(&server.address, "/v1/schedule?limit=1000")?;
    let decisions = schedule["decisions"].as_array().ok_or("the schedule has no decisions")?;
    let is_meant = |decision: &&Value| {
        decision["decision"] == "started"
            && decision["asset"].as_str().is_some_and(|id| id.starts_with(asset))
    };
    let at = |decision: &Value| {
        let at = decision["at"].as_str().ok_or("a decision has no time")?;
        Ok(DateTime::parse_from_rfc3339(at)?.timestamp_micros())
    };
    decisions.iter().filter(is_meant).map(at).collect()
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
    let source = |name: &str, schedule: &str| -> Result<()> {
        let text = format!(
            "connector: {{type: files, path: data/{name}.csv}}\nschedule: {schedule}\ncontract: {{columns: {{id: {{type: int64}}}}}}\n"
        );
        project.file(&format!("sources/{name}.yaml"), &text)?;
        project.file(&format!("data/{name}.csv"), "id\n1\n")
    };
    for place in 0..SOURCES {
        source(&format!("s{place}"), "{every: 1w, webhook: all}")?;
    }
    source("ticks", &format!("every {TICK_SECONDS}s"))
}
