//! Landing: what a source has to offer becomes rows of `bronze.<source>`, exactly once per part and position.
//!
//! One landing takes in every part that waits, as one commit: discover, decide about changed columns, read and
//! check all blocks into staged files, judge the candidate version, commit rejected rows, commit the rows,
//! record. Nothing before the last commit is visible; repeating it after a crash gives the same rows.

mod columns;
mod commit;
mod epoch;
mod evolve;
mod pipeline;
mod schemas;

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use millstream_connector::{Connector, Discovery, FoundColumn, KnownPart, Part, PartChange};
use millstream_project::SourceSpec;
use millstream_types::{Field, LANDING_COLUMNS};

pub(crate) use columns::{bronze_schema, with_landing_columns};
pub(crate) use epoch::{Landing, standing};

use crate::{
    EngineError, StepOutcome,
    engine::{StepContext, World},
    rejected::is_lost,
    reprocess,
    run::StepResult,
};
use epoch::Standing;
use evolve::{Evolved, evolve};

/// How often a landing starts over because a column showed up that no sample had.
const RESTARTS_MAX: usize = 16;

/// Parts whose columns are looked at together.
const DESCRIBED_AT_ONCE: usize = 8;

/// What waits where the two commits of a reprocessing were not both made, for people.
const INTERRUPTED: &str = "the end of a reprocessing that was interrupted";

/// What a landing would take in now: the ids of parts, and what a reprocessing left undone.
pub(crate) async fn waiting_parts(
    world: &World,
    source: &SourceSpec,
    full: bool,
) -> Result<Vec<String>, EngineError> {
    let standing = standing_before(world, source, full).await?;
    let found = discover(world, source, known_before(&standing, full)).await?;
    let mut waiting: Vec<_> = found.parts.into_iter().map(|part| part.id).collect();
    let Standing { landing, snapshot } = standing;
    if let Some(bronze) = snapshot
        && reprocess::interrupted(world, &bronze).await?.is_some()
    {
        waiting.push(INTERRUPTED.to_owned());
    }
    remember_refreshed(world, source, &landing, found.refreshed)?;
    if full {
        // A part that is gone waits as well: for the refusal to forget its rows.
        let present: BTreeSet<_> = waiting.iter().cloned().collect();
        waiting.extend(landing.parts.into_iter().map(|part| part.id).filter(|id| !present.contains(id)));
    }
    Ok(waiting)
}

async fn standing_before(world: &World, source: &SourceSpec, full: bool) -> Result<Standing, EngineError> {
    if full { epoch::standing_before_anew(world, source).await } else { standing(world, source).await }
}

/// What a landing leaves alone: nothing when it replaces everything.
fn known_before(standing: &Standing, full: bool) -> &[KnownPart] {
    if full { &[] } else { &standing.landing.parts }
}

/// Parts that look different and hold the same: as they look now, so that nobody has to read them again to see that.
fn remember_refreshed(
    world: &World,
    source: &SourceSpec,
    landing: &Landing,
    refreshed: Vec<KnownPart>,
) -> Result<(), EngineError> {
    if refreshed.is_empty() {
        return Ok(());
    }
    epoch::remember(world, source, &Landing { parts: refreshed, ..*landing })
}

/// Lands what waits at `source`. Boxed, because the compiler cannot see that so deep a future is `Send`.
pub(crate) fn land<'a>(
    context: &'a StepContext,
    source: &'a SourceSpec,
) -> BoxFuture<'a, Result<StepResult, EngineError>> {
    Box::pin(land_parts(context, source))
}

async fn land_parts(context: &StepContext, source: &SourceSpec) -> Result<StepResult, EngineError> {
    let world = &context.world;
    reprocess::finish_interrupted(world, &source.table()).await?;
    let full = context.full_refresh;
    let standing = standing_before(world, source, full).await?;
    let mut found = discover(world, source, known_before(&standing, full)).await?;
    for waiting in &found.waiting {
        context.note(format!("{} waits: {}", waiting.id, waiting.reason));
    }
    remember_refreshed(world, source, &standing.landing, std::mem::take(&mut found.refreshed))?;
    if let Some(snapshot) = &standing.snapshot
        && !full
        && is_lost(world, snapshot).await?
    {
        context.note(format!(
            "{} has lost rows; `millstream run {} --full-refresh` judges all rows again",
            source.table().rejected(),
            source.table()
        ));
    }
    if full {
        refuse_to_lose(source, &standing, &found.parts)?;
        // What was landed goes; each part is read from its start.
        found.parts.iter_mut().for_each(|part| part.change = PartChange::New);
    }
    let connector = world.connector(source)?;
    let mut columns = describe(source, connector, &found.parts).await?;
    for _ in 0..RESTARTS_MAX {
        let present = standing.snapshot.as_ref().filter(|_| !full).map(|snapshot| own_columns(snapshot));
        let evolved = match evolve(&source.contract, present.as_deref(), &columns) {
            Ok(evolved) => evolved,
            Err(refusals) => return Ok(refused(&refusals, &standing)),
        };
        let is_empty = found.parts.is_empty() && evolved.changes.is_empty();
        if let Some(snapshot) = standing.snapshot.as_ref().filter(|_| is_empty) {
            return commit::nothing_new(context, source, snapshot).await;
        }
        let job = Job { context, source, standing: &standing, parts: &found.parts, evolved: &evolved, full };
        match pipeline::read_all(&job).await? {
            pipeline::Read::Staged(staged) => return commit::publish(&job, staged).await,
            pipeline::Read::FurtherColumns { part, found } => remember(&mut columns, part, found),
        }
    }
    Err(EngineError::Refused {
        table: source.table(),
        message: format!("brought further columns {RESTARTS_MAX} times while one landing was read"),
        hint: "declare the columns in the contract".into(),
    })
}

/// One attempt at a landing, with everything decided.
pub(crate) struct Job<'a> {
    pub context: &'a StepContext,
    pub source: &'a SourceSpec,
    pub standing: &'a Standing,
    pub parts: &'a [Part],
    pub evolved: &'a Evolved,
    /// Whether everything landed before is replaced.
    pub full: bool,
}

impl Job<'_> {
    pub(crate) fn world(&self) -> &World {
        &self.context.world
    }

    /// The landed state of a part, where it matters.
    pub(crate) fn known(&self, id: &str) -> Option<&KnownPart> {
        self.standing.landing.parts.iter().find(|part| part.id == id)
    }
}

fn discover<'a>(
    world: &'a World,
    source: &'a SourceSpec,
    known: &'a [KnownPart],
) -> BoxFuture<'a, Result<Discovery, EngineError>> {
    Box::pin(async move {
        let connector = world.connector(source)?;
        connector.discover(known).await.map_err(|error| source_error(source, error))
    })
}

/// The columns of each part, in the order of the parts.
async fn describe(
    source: &SourceSpec,
    connector: &Arc<dyn Connector>,
    parts: &[Part],
) -> Result<Vec<(String, Vec<FoundColumn>)>, EngineError> {
    use futures::{StreamExt, TryStreamExt, stream};
    let looks: Vec<_> = parts.iter().map(|part| describe_part(source, connector, part)).collect();
    stream::iter(looks).buffered(DESCRIBED_AT_ONCE).try_collect().await
}

async fn describe_part(
    source: &SourceSpec,
    connector: &Arc<dyn Connector>,
    part: &Part,
) -> Result<(String, Vec<FoundColumn>), EngineError> {
    let columns = connector.describe(part).await.map_err(|error| source_error(source, error))?;
    Ok((part.id.clone(), columns))
}

fn remember(columns: &mut [(String, Vec<FoundColumn>)], part: String, found: Vec<FoundColumn>) {
    if let Some((_, known)) = columns.iter_mut().find(|(id, _)| *id == part) {
        known.extend(found);
    }
}

/// The table's columns without those that landing added.
pub(crate) fn own_columns(snapshot: &millstream_lake::Snapshot) -> Vec<Field> {
    let schema = snapshot.schema();
    let own = schema.fields().iter().filter(|field| !LANDING_COLUMNS.contains(&field.name().as_str()));
    own.filter_map(|field| {
        let column_type = millstream_connector::column_type(field.data_type())?;
        Some(Field { name: field.name().clone(), column_type })
    })
    .collect()
}

/// A full refresh forgets what it cannot read again, so it is refused while a landed part is gone.
fn refuse_to_lose(source: &SourceSpec, standing: &Standing, parts: &[Part]) -> Result<(), EngineError> {
    let gone: Vec<_> = standing
        .landing
        .parts
        .iter()
        .filter(|known| !parts.iter().any(|part| part.id == known.id))
        .map(|known| known.id.as_str())
        .collect();
    let Some(first) = gone.first() else { return Ok(()) };
    Err(EngineError::Refused {
        table: source.table(),
        message: format!(
            "holds rows of {} part(s) that are gone from the source, such as {first}",
            gone.len()
        ),
        hint: "bring them back, or run without `--full-refresh`".into(),
    })
}

fn refused(refusals: &[evolve::Refusal], standing: &Standing) -> StepResult {
    let reason: Vec<_> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    let outcome = StepOutcome::Halted {
        reason: format!("schema change refused: {}", reason.join("; ")),
        hint: refusals.first().map(|refusal| refusal.hint.clone()),
    };
    StepResult::without_rows(outcome, standing.snapshot.as_ref().map(|snapshot| snapshot.version()))
}

pub(crate) fn source_error(source: &SourceSpec, error: millstream_connector::ConnectorError) -> EngineError {
    EngineError::Source { name: source.name.clone(), source: error }
}
