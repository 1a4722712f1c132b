//! `millstream runs`: the newest runs, each in a line.

use millstream_state::{RunFilter, RunOutcome, RunRecord};
use millstream_types::TimestampMicros;

use super::with_news;
use crate::{
    CliError, Exit, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, styled},
    project,
    session::Session,
    show::table::table,
    standing::between,
    wire::{Of, RunInfo, RunsAnswer},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Only runs with a step of this asset: `bronze.orders`, or `orders`, `view:orders`, `dataset:churn`
    #[arg(long, value_name = "ASSET")]
    asset: Option<String>,
    /// Only runs that ended so
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Only runs that started then or later: an age such as `12h` or `7d`, or an instant such as `2026-11-01`
    #[arg(long, value_name = "SINCE", value_parser = since)]
    since: Option<Since>,
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = limit)]
    limit: usize,
}

/// How a run ended, or that it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Status {
    Succeeded,
    Failed,
    Cancelled,
    /// The process ended without a word
    Interrupted,
    UnderWay,
}

/// The earliest start of a run.
#[derive(Clone, Copy, Debug)]
enum Since {
    Age(std::time::Duration),
    At(TimestampMicros),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(span) = text.parse::<millstream_types::Span>() {
        return Ok(Since::Age(span.as_std()));
    }
    let wrong = |_: String| {
        "write an age such as `12h` or `7d`, or an instant such as `2026-11-01T06:00:00Z`".to_owned()
    };
    crate::commands::query::parse_time(text).map(Since::At).map_err(wrong)
}

fn limit(text: &str) -> Result<usize, String> {
    let number =
        usize::try_from(human::whole_number(text)?).map_err(|_| "the number is too large".to_owned())?;
    if (1..=10_000).contains(&number) {
        Ok(number)
    } else {
        Err("write a number from 1 to 10,000".to_owned())
    }
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let asset = arguments.asset.as_deref().map(|name| project::asset_named(&project, name)).transpose()?;
    let engine = project::engine(project, session).await?;
    let now = engine.now();
    let age = |age: std::time::Duration| {
        TimestampMicros(now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
    };
    let filter = RunFilter {
        asset,
        status: arguments.status.map(|status| match status {
            Status::Succeeded => Some(RunOutcome::Succeeded),
            Status::Failed => Some(RunOutcome::Failed),
            Status::Cancelled => Some(RunOutcome::Cancelled),
            Status::Interrupted => Some(RunOutcome::Interrupted),
            Status::UnderWay => None,
        }),
        since: arguments.since.map(|since| match since {
            Since::Age(length) => age(length),
            Since::At(at) => at,
        }),
        limit: arguments.limit,
    };
    let runs = engine.runs_matching(&filter).await?;
    if session.settings.json {
        output::print_json(&RunsAnswer { runs: runs.iter().map(RunInfo::of).collect() })?;
    } else {
        output::print(&text(&runs, now))?;
    }
    Ok(Exit::Success)
}

fn text(runs: &[RunRecord], now: TimestampMicros) -> String {
    if runs.is_empty() {
        return "No run fits\n".to_owned();
    }
    let header = ["run", "status", "started", "took", "command", "by"];
    let rows: Vec<_> = runs.iter().map(|run| row(run, now)).collect();
    // Runs of the command line are nobody's in particular.
    let shown = with_news(&header, rows, &["by"]);
    let right: Vec<_> = shown.header.iter().map(|name| *name == "took").collect();
    table(&shown.header, &shown.rows, &right)
}

fn row(run: &RunRecord, now: TimestampMicros) -> Vec<String> {
    let took = run.finished.map(|finished| human::duration(between(run.started, finished)));
    vec![
        run.run.to_string(),
        status(run),
        human::ago(between(run.started, now)),
        took.unwrap_or_else(|| styled(FAINT, "-")),
        human::shorten(&run.command, 60),
        run.principal.clone().unwrap_or_else(|| styled(FAINT, "-")),
    ]
}

/// The word for how a run ended.
pub(super) fn status(run: &RunRecord) -> String {
    match run.outcome {
        None => styled(CAUTION, "under way"),
        Some(RunOutcome::Succeeded) => styled(GOOD, "succeeded"),
        Some(outcome) => styled(BAD, outcome.as_str()),
    }
}
