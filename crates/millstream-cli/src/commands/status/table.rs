//! All that is known of one asset: where it stands, its last step, its checks, its schemas and its versions.

use std::fmt::Write;

use millstream_engine::{AssetStatus, Engine, Status};
use millstream_lake::CommitRecord;
use millstream_state::{CheckResult, RunRecord, SchemaVersion, StepOutcome, StepRecord};
use millstream_types::{AssetId, Severity, TableName, TimestampMicros};

use super::overview::{at_work, stale, state, told};
use crate::{
    CliError, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    session::Session,
    show::table::table,
    standing::{Standing, TableStatus, between},
    wire::{Of, TableStatusDocument},
};

/// Versions of the lake that are listed.
const VERSIONS_SHOWN: usize = 5;

/// Prints the asset's status.
pub(super) async fn show(
    engine: &Engine,
    status: &Status,
    name: &AssetId,
    session: &Session,
) -> Result<(), CliError> {
    let known = known(engine, status, name).await?;
    if session.settings.json {
        return output::print_json(&TableStatusDocument::of(&known));
    }
    output::print(&text(&known, status.now))
}

/// All that is known of an asset.
pub(crate) async fn known<'a>(
    engine: &Engine,
    status: &'a Status,
    name: &AssetId,
) -> Result<TableStatus<'a>, CliError> {
    let asset = status.assets.iter().find(|asset| asset.asset == *name);
    let asset = asset.ok_or_else(|| CliError::unknown("asset", &name.to_string(), &[]))?;
    let run = match &asset.last_step {
        Some(step) => engine.run_record(&step.run).await?,
        None => None,
    };
    let table = table_of(asset);
    let schemas = match &table {
        Some(table) if engine.project().source(table).is_some() => engine.schema_versions(table).await?,
        _ => Vec::new(),
    };
    let versions = match &table {
        // What is wrong with its log is told above.
        Some(table) if asset.is_stored && asset.unreadable.is_none() => {
            engine.history(table, VERSIONS_SHOWN).await?
        }
        _ => Vec::new(),
    };
    Ok(TableStatus { asset, run, schemas, versions })
}

/// The table that the asset is; none of another kind.
fn table_of(asset: &AssetStatus) -> Option<TableName> {
    asset.asset.as_str().parse().ok()
}

fn text(known: &TableStatus<'_>, now: TimestampMicros) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = headline(&mut text, known.asset, now);
    if let Some(lease) = &known.asset.lease {
        let asset = format!("`{}`", known.asset.asset);
        let _ = writeln!(text, "  writer     {}", at_work(lease, &asset, now));
    }
    if let Some(step) = &known.asset.last_step {
        let _ = last_step(&mut text, step, known.run.as_ref(), now);
    }
    if let Some((ended, trouble)) = Standing::of(known.asset).trouble() {
        let _ = write!(text, "\n{}", told(known.asset, ended, trouble));
    }
    if let Some(line) = stale(known.asset, now) {
        let _ = write!(text, "\n{line}");
    }
    checks(&mut text, &known.asset.checks);
    schemas(&mut text, &known.schemas, now);
    versions(&mut text, &known.versions, now);
    text
}

/// `bronze.orders  source  good  v3, 19,931 rows, built 5 min ago`
fn headline(text: &mut String, asset: &AssetStatus, now: TimestampMicros) -> std::fmt::Result {
    let standing = Standing::of(asset);
    let mut facts = Vec::new();
    if let Some(recorded) = &asset.recorded {
        facts.extend(recorded.version.map(|version| format!("v{version}")));
        facts.extend(recorded.rows.map(|rows| human::count(rows, "row")));
        facts.push(format!("built {}", human::ago(between(recorded.built_at, now))));
    }
    let said = match standing {
        Standing::View => "computed whenever it is read".to_owned(),
        _ if facts.is_empty() => state(standing),
        _ => format!("{}  {}", state(standing), facts.join(", ")),
    };
    writeln!(text, "{}  {}  {said}", styled(STRONG, &asset.asset), asset.kind.as_str())
}

fn last_step(
    text: &mut String,
    step: &StepRecord,
    run: Option<&RunRecord>,
    now: TimestampMicros,
) -> std::fmt::Result {
    let outcome = match &step.outcome {
        StepOutcome::Skipped { because } => format!("skipped because of {because}"),
        StepOutcome::Unchanged => "no change".to_owned(),
        other => other.as_str().to_owned(),
    };
    let command = run.map(|run| format!(" by `{}`", run.command)).unwrap_or_default();
    writeln!(text, "  last step  {outcome} {}{command}", human::ago(between(step.finished, now)))?;
    writeln!(text, "  because    {}", step.reason_text)?;
    let rows =
        [(step.rows_written, "written"), (step.rows_deleted, "deleted"), (step.rows_rejected, "rejected")];
    let rows: Vec<String> = rows
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", human::thousands(number)))
        .collect();
    if !rows.is_empty() {
        writeln!(text, "  rows       {} in {}", rows.join(", "), human::duration(step.elapsed))?;
    }
    Ok(())
}

fn checks(text: &mut String, checks: &[CheckResult]) {
    let row = |check: &CheckResult| {
        let result = match (check.passed, check.severity) {
            (true, _) => styled(GOOD, "passed"),
            (false, Severity::Halt) => styled(BAD, "failed"),
            (false, _) => styled(CAUTION, "failed"),
        };
        vec![check.check.to_string(), check.severity.as_str().to_owned(), result, found(check)]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    section(text, "Checks", &["check", "severity", "result", "found"], &rows);
}

/// The figure that was compared, or the rows that broke the check.
fn found(check: &CheckResult) -> String {
    match &check.observed {
        Some(observed) => observed.clone(),
        None if check.failed > 0 => human::count(check.failed, "row"),
        None => styled(FAINT, "-"),
    }
}

fn schemas(text: &mut String, schemas: &[SchemaVersion], now: TimestampMicros) {
    let row = |schema: &SchemaVersion| {
        vec![
            schema.version.to_string(),
            human::ago(between(schema.at, now)),
            schema.change.clone(),
            schema.part.clone().unwrap_or_else(|| styled(FAINT, "-")),
            schema.run.as_ref().map_or_else(|| styled(FAINT, "-"), ToString::to_string),
        ]
    };
    let rows: Vec<_> = schemas.iter().map(row).collect();
    section(text, "Schema versions", &["schema", "since", "change", "file", "run"], &rows);
}

fn versions(text: &mut String, versions: &[CommitRecord], now: TimestampMicros) {
    let row = |commit: &CommitRecord| {
        let removed =
            if commit.files_removed > 0 { format!(" -{}", commit.files_removed) } else { String::new() };
        let files = format!("+{}{removed}", commit.files_added);
        vec![
            format!("v{}", commit.version),
            human::ago(between(commit.committed_at, now)),
            commit.operation.clone(),
            commit.info["rows_written"].as_u64().map_or_else(|| styled(FAINT, "-"), human::thousands),
            files,
            commit.info["run"].as_str().map_or_else(|| styled(FAINT, "-"), str::to_owned),
        ]
    };
    let rows: Vec<_> = versions.iter().map(row).collect();
    let header = ["version", "committed", "operation", "rows written", "files", "run"];
    section(text, "Newest versions", &header, &rows);
}

/// A titled table, or nothing without rows.
fn section(text: &mut String, title: &str, header: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let right: Vec<bool> = header.iter().map(|name| name.starts_with("rows")).collect();
    text.push_str(&format!("\n{}\n{}", styled(STRONG, title), table(header, rows, &right)));
}
