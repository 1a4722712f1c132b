//! The end of a landing: old rows that leave, the commit, the records.

use std::{borrow::Cow, collections::BTreeSet};

use datafusion::prelude::{ident, lit};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_lake::{At, DataFile, LakeTable, Operation, ScanCount, Snapshot, StagedFile};
use millstream_plan::{AssetStatus, Recorded};
use millstream_project::{CheckKind, CheckSpec, SourceSpec};
use millstream_types::{AssetVersion, SOURCE, TimestampMicros};

use super::{
    LandingAttempt, acknowledge, bronze_schema, epoch, epoch::Landing, merge::Merged, pipeline, schemas,
};
use crate::{
    EngineError, StepOutcome,
    assets::version_of,
    audit::metrics,
    breaker::LandingBreaker,
    commit_info::{AcceptedSchema, CommitInfo, Committed, LANDING_TXN},
    engine::StepContext,
    publish::{self, Candidate, Rejected, may_hold, publish as publish_candidate},
    receipt, rejudge,
    resolver::provider,
    run::StepResult,
    stored,
    superseded::Superseded,
    writers::Writers,
};

/// The column of a rejected row that names the first check that it broke.
const CHECK: &str = "_check";

/// Judges and commits what was staged, and records it.
pub(super) fn publish<'a>(
    attempt: &'a LandingAttempt<'a>,
    staged: pipeline::Staged,
) -> BoxFuture<'a, Result<StepResult, EngineError>> {
    Box::pin(publish_staged(attempt, staged))
}

async fn publish_staged(
    attempt: &LandingAttempt<'_>,
    staged: pipeline::Staged,
) -> Result<StepResult, EngineError> {
    let context = attempt.context;
    let (table, base) = (attempt.source.table(), attempt.standing.snapshot.as_deref());
    let merged = staged.merged.as_ref();
    let leaving = leaving(attempt, merged).await?;
    let superseded = superseded(attempt, merged).await?;
    let epoch = attempt.standing.landing.epoch + 1;
    let landing = Landing { epoch, next_sequence: staged.next_sequence, parts: staged.parts };
    let accepted = schemas::accepted(attempt.evolved, base.is_none(), attempt.full);
    let what = Committed::Landing {
        epoch,
        parts: landing.parts.clone(),
        next_sequence: landing.next_sequence,
        full: attempt.full,
        schemas: accepted.clone(),
    };
    let mut info = CommitInfo::new(context.run.clone(), staged.now, fingerprint(context)?, what);
    (info.rows_written, info.rows_rejected) = (staged.accepted, staged.rejected);
    let staying = staying(attempt, &leaving).await?;
    let add = staged.files.into_iter().chain(leaving.kept).collect();
    let operation = operation(merged.is_some() && !attempt.full, leaving.files.is_empty());
    let checks = judged_now(attempt.source, attempt.is_last);
    let breaker = LandingBreaker::of(context.world.as_ref(), attempt.source).await?;
    let halt_above = breaker.halt_above(attempt.source, staged.since);
    let candidate = Candidate {
        context,
        table: &table,
        base,
        schema: bronze_schema(&attempt.evolved.columns),
        add,
        remove: leaving.files,
        staying,
        operation,
        txn: (LANDING_TXN, epoch),
        info,
        checks: &checks,
        halt_above,
        contract: &staged.contract,
        tally: &staged.tally,
        rejected: Rejected {
            files: staged.rejected_files,
            rows: staged.rejected,
            epoch_before: attempt.standing.landing.epoch,
            replaced_parts: pipeline::replaced_parts(attempt).collect(),
            replace: attempt.full,
            superseded,
        },
        now: staged.now,
        rows_written: staged.accepted,
        rows_deleted: leaving.rows,
        receipt: staged.receipt,
    };
    let mut result = publish_candidate(candidate).await?;
    if matches!(result.outcome, StepOutcome::Halted { .. }) {
        breaker.open_for(attempt, &staged.tally, &staged.contract, halt_above).await?;
    }
    if matches!(result.outcome, StepOutcome::Built) {
        remember(attempt, &landing, &accepted, staged.now).await?;
        if result.rows_deleted > 0 && !attempt.full && merged.is_none() {
            tell_of_rivals(attempt).await?;
        }
        let rows = rows_now(attempt, result.version).await?;
        result.metrics = metrics(rows);
        result.recorded = Some(recorded(context, result.version, rows, staged.now)?);
    }
    Ok(result)
}

/// What the commit is to those who read the log of the table.
fn operation(merges: bool, only_adds: bool) -> Operation {
    match (merges, only_adds) {
        (true, _) => Operation::Merge,
        (false, true) => Operation::Append,
        (false, false) => Operation::Overwrite,
    }
}

/// Records a landing that was committed, and tells its source.
async fn remember(
    attempt: &LandingAttempt<'_>,
    landing: &Landing,
    accepted: &[AcceptedSchema],
    now: TimestampMicros,
) -> Result<(), EngineError> {
    let (world, source) = (attempt.world(), attempt.source);
    tell_of_changes(attempt);
    // The landing is remembered last: until then whoever comes next takes the schemas from the commit again.
    schemas::record(world, &source.table(), &attempt.context.run, now, accepted).await?;
    if attempt.full {
        epoch::remember_alone(world, source, landing).await?;
    } else {
        epoch::remember(world, source, landing).await?;
    }
    acknowledge::after_commit(attempt, &landing.parts).await;
    Ok(())
}

/// The checks of the contract that this commit is judged by. Checks of counts and of freshness wait for the last
/// portion: in the midst of a backlog the table has too few rows, and too old ones.
fn judged_now(source: &SourceSpec, is_last: bool) -> Cow<'_, [CheckSpec]> {
    let checks = &source.contract.checks;
    if is_last {
        return Cow::Borrowed(checks);
    }
    let asks_for_all = |check: &&CheckSpec| {
        matches!(
            check.kind,
            CheckKind::RowCount { .. } | CheckKind::DistinctCount { .. } | CheckKind::Freshness { .. }
        )
    };
    checks.iter().filter(|check| !asks_for_all(check)).cloned().collect()
}

/// The files of rows that landed before and stay, if these are to be judged again: they were judged by the definition
/// of their time. New rows are judged as they come.
async fn staying(attempt: &LandingAttempt<'_>, leaving: &Leaving) -> Result<Vec<DataFile>, EngineError> {
    let known = attempt.world().state.recorded_of(&attempt.context.asset).await?;
    // Rows that earlier commits of this run landed were judged by those commits.
    if attempt.follows || !rejudge::is_due(attempt.context, known.as_ref())? {
        return Ok(Vec::new());
    }
    let kept = leaving.kept.iter().map(DataFile::from).collect();
    Ok(publish::staying(attempt.standing.snapshot.as_deref(), &leaving.files, kept))
}

fn tell_of_changes(attempt: &LandingAttempt<'_>) {
    for change in &attempt.evolved.changes {
        let text = change.text();
        // SQL is planned against the contract, so that a table changes with its project only.
        let unseen = matches!(change.kind, super::evolve::ChangeKind::Added { .. })
            && !attempt.source.contract.columns.contains_key(&change.column);
        let more = if unseen { "; `SELECT *` and other SQL see it once the contract names it" } else { "" };
        attempt.context.note(format!("schema: {text}{more}"));
    }
}

/// Tells, after rows have left, of rows that were rejected because they repeated a key: they may be the only ones with
/// their keys now.
async fn tell_of_rivals(attempt: &LandingAttempt<'_>) -> Result<(), EngineError> {
    let (world, table) = (attempt.world(), attempt.source.table());
    let checks = attempt.source.contract.checks.iter();
    let unique: Vec<_> = checks
        .filter(|check| matches!(check.kind, CheckKind::Unique { .. }))
        .map(|check| lit(check.id.as_str()))
        .collect();
    let rejected = world.lake.snapshot(&table.rejected(), At::Latest).await?;
    let Some(rejected) = rejected.filter(|_| !unique.is_empty()) else { return Ok(()) };
    let columns = [CHECK.to_owned()];
    // What this landing rejected was judged beside the rows that stay.
    let before = ident(publish::EPOCH).lt_eq(lit(attempt.standing.landing.epoch));
    let of_unique = ident(CHECK).in_list(unique, false).and(before);
    let rows = provider(&world.lake, &rejected)?;
    let mut rows = stored::scan(world, rejected.table(), rows, &columns, Some(of_unique)).await?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(&table, source))? {
        count += batch.num_rows();
    }
    if count > 0 {
        let (rows, them) = if count == 1 { ("row that was", "it") } else { ("rows that were", "them") };
        attempt.context.note(format!(
            "rows left: {count} rejected {rows} not unique may fit now; `millstream reprocess {table}` judges {them} again"
        ));
    }
    Ok(())
}

/// A landing that found nothing to read: what landed before is judged again where the definition or the clock asks for
/// it. The record may still be behind the definition.
pub(super) async fn nothing_new(
    context: &StepContext,
    source: &SourceSpec,
    snapshot: &Snapshot,
) -> Result<StepResult, EngineError> {
    let (version, rows) = (version_of(snapshot), snapshot.rows());
    let now = context.world.options.clock.now();
    let known = context.world.state.recorded_of(&context.asset).await?;
    let checks = &source.contract.checks;
    let standing = rejudge::Standing { context, snapshot, checks, known: known.as_ref(), now };
    let mut result = standing.judge().await?;
    let same = known.filter(|known| known.version == Some(version));
    // A landing that was committed and is tried again has not told its figures yet.
    if same.is_none() {
        result.metrics = metrics(rows);
    }
    let built_at = same.map_or(now, |known| known.built_at);
    result.recorded = Some(recorded(context, Some(version), rows, built_at)?);
    Ok(result)
}

/// The files of the base that are removed, and those of their rows that stay.
#[derive(Default)]
struct Leaving {
    files: Vec<DataFile>,
    kept: Vec<StagedFile>,
    rows: u64,
}

/// Earlier rejected rows that go because an operation has overtaken them.
async fn superseded(
    attempt: &LandingAttempt<'_>,
    merged: Option<&Merged>,
) -> Result<Option<Superseded>, EngineError> {
    let Some(merged) = merged else { return Ok(None) };
    let rejected = attempt.source.table().rejected();
    let rejected = attempt.world().lake.snapshot(&rejected, At::Latest).await?;
    match rejected.filter(|rejected| !rejected.files().is_empty()) {
        Some(_) => Ok(Some(merged.superseded())),
        None => Ok(None),
    }
}

/// The rows that leave: those of replaced parts, and those whose keys came again or were deleted. A widened column
/// rewrites every file; a full refresh keeps nothing, nor does a source that was emptied.
async fn leaving(attempt: &LandingAttempt<'_>, merged: Option<&Merged>) -> Result<Leaving, EngineError> {
    let Some(base) = attempt.standing.snapshot.as_deref() else { return Ok(Leaving::default()) };
    if attempt.full || merged.is_some_and(Merged::is_anew) {
        let rows = base.rows().unwrap_or(0);
        return Ok(Leaving { files: base.files().to_vec(), kept: Vec::new(), rows });
    }
    let replaced: Vec<_> = pipeline::replaced_parts(attempt).collect();
    let rewrite_all = attempt.evolved.needs_rewrite();
    let holding = match merged {
        Some(merged) => merged.files(attempt.world(), base).await?,
        None => BTreeSet::new(),
    };
    let touched = |file: &&DataFile| {
        rewrite_all || holding.contains(file.path()) || replaced.iter().any(|part| may_hold(file, part))
    };
    let files: Vec<_> = base.files().iter().filter(touched).cloned().collect();
    if files.is_empty() {
        return Ok(Leaving::default());
    }
    let world = attempt.world();
    let schema = bronze_schema(&attempt.evolved.columns);
    let columns: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let stays = (!replaced.is_empty())
        .then(|| ident(SOURCE).in_list(replaced.iter().map(|part| lit(part.as_str())).collect(), true));
    let scanned = ScanCount::default();
    let provider = LakeTable::counted(&world.lake, schema.clone(), files.clone(), &scanned)?;
    let mut rows = stored::scan(world, base.table(), provider, &columns, stays).await?;
    let mut writers = Writers::new(&world.lake, base.table(), schema, world.options.parallelism.get());
    let mut stayed = 0;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(base.table(), source))? {
        let batch = match merged {
            Some(merged) => merged.without(&batch)?,
            None => batch,
        };
        stayed += batch.num_rows() as u64;
        writers.write(batch).await?;
    }
    let kept = writers.finish().await?;
    let gone = scanned.rows().map(|scanned| scanned.saturating_sub(stayed));
    receipt::check_rewritten(base.table(), &files, gone, &kept)?;
    let before: u64 = files.iter().filter_map(DataFile::rows).sum();
    let after = receipt::rows_of(&kept);
    Ok(Leaving { files, kept, rows: before.saturating_sub(after) })
}

async fn rows_now(
    attempt: &LandingAttempt<'_>,
    version: Option<AssetVersion>,
) -> Result<Option<u64>, EngineError> {
    let Some(version) = version else { return Ok(None) };
    let snapshot =
        attempt.world().lake.snapshot(&attempt.source.table(), At::Version(version.number())).await?;
    Ok(snapshot.and_then(|snapshot| snapshot.rows()))
}

fn recorded(
    context: &StepContext,
    version: Option<AssetVersion>,
    rows: Option<u64>,
    now: TimestampMicros,
) -> Result<Recorded, EngineError> {
    Ok(Recorded {
        fingerprint: fingerprint(context)?,
        input_versions: Default::default(),
        version,
        rows,
        built_at: now,
        status: AssetStatus::Built,
    })
}

fn fingerprint(context: &StepContext) -> Result<millstream_types::Fingerprint, EngineError> {
    context.facts().map(|facts| facts.fingerprint)
}
