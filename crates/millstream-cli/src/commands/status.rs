//! `millstream status`: the last run, and where each asset stands.

use std::time::Duration;

use millstream_engine::{AssetStatus, Status};
use millstream_plan::AssetStatus as Ended;
use millstream_types::{Severity, TimestampMicros};

use crate::{
    CliError, Exit, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    project,
    session::Session,
    show::table::table,
    wire::StatusDocument,
};

/// Show the last run, and each asset's version, rows, age and checks
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open(session)?)?;
    let status = engine.status()?;
    if session.settings.json {
        output::print_json(&StatusDocument::from(&status))?;
    } else {
        output::print(&text(&status))?;
    }
    Ok(Exit::Success)
}

fn text(status: &Status) -> String {
    let mut text = match &status.last_run {
        None => "No run yet; `millstream run` makes the first one\n".to_owned(),
        Some(run) => {
            let outcome = run.outcome.map_or("under way", |outcome| outcome.as_str());
            let took = run
                .finished
                .map(|finished| format!(" in {}", human::duration(between(run.started, finished))));
            format!(
                "{} `{}` {outcome}{}, {}\n",
                styled(STRONG, "Last run:"),
                run.command,
                took.unwrap_or_default(),
                human::ago(between(run.started, status.now)),
            )
        }
    };
    if status.assets.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = status.assets.iter().map(|asset| row(asset, status.now)).collect();
    text.push('\n');
    text.push_str(&table(
        &["asset", "kind", "version", "rows", "built", "state", "checks"],
        &rows,
        &[false, false, true, true, false, false, false],
    ));
    for asset in &status.assets {
        if let Some(recorded) = &asset.recorded {
            text.push_str(&trouble(asset.asset.as_str(), &recorded.status));
        }
    }
    text
}

fn row(asset: &AssetStatus, now: TimestampMicros) -> Vec<String> {
    let none = || styled(FAINT, "-");
    let recorded = asset.recorded.as_ref();
    let version = recorded.and_then(|recorded| recorded.version);
    let rows = recorded.and_then(|recorded| recorded.rows);
    let is_view = asset.kind == millstream_plan::AssetKind::View;
    vec![
        asset.asset.to_string(),
        asset.kind.as_str().to_owned(),
        version.map_or_else(none, |version| format!("v{version}")),
        rows.map_or_else(none, human::thousands),
        recorded.map_or_else(none, |recorded| human::ago(between(recorded.built_at, now))),
        match recorded.map(|recorded| &recorded.status) {
            _ if is_view => none(),
            None => styled(FAINT, "never built"),
            Some(Ended::Built) => styled(GOOD, "good"),
            Some(Ended::Halted { .. }) => styled(BAD, "halted"),
            Some(Ended::Failed { .. }) => styled(BAD, "failed"),
        },
        checks(asset),
    ]
}

/// `12 of 14 passed`; rows that were quarantined are no trouble of the table.
fn checks(asset: &AssetStatus) -> String {
    if asset.checks.is_empty() {
        return styled(FAINT, "-");
    }
    let (total, passed) = (asset.checks.len(), asset.checks.iter().filter(|check| check.passed).count());
    let said = format!("{passed} of {total} passed");
    let worst = asset.checks.iter().filter(|check| !check.passed).map(|check| check.severity).max();
    match worst {
        None => said,
        Some(Severity::Halt) => styled(BAD, said),
        Some(Severity::Warn | Severity::Quarantine) => styled(CAUTION, said),
    }
}

fn trouble(asset: &str, ended: &Ended) -> String {
    match ended {
        Ended::Built => String::new(),
        Ended::Halted { reason } => format!("\n{} {asset} halted: {reason}\n", styled(BAD, '✗')),
        Ended::Failed { code, error } => format!("\n{} {asset} failed: {error} ({code})\n", styled(BAD, '✗')),
    }
}

fn between(from: TimestampMicros, to: TimestampMicros) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}
