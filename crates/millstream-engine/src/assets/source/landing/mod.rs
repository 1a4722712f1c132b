//! Landing: what a source has to offer becomes rows of `bronze.<source>`, exactly once per part and position.
//!
//! One commit takes in every part that waits, or as much as the connector's bound allows: discover, decide about changed
//! columns, read and check all blocks into staged files, judge the candidate version, commit rejected rows, commit the
//! rows, record, acknowledge. Nothing before the commit of the rows is visible; repeating it after a crash gives the same rows.

mod acknowledge;
mod columns;
mod commit;
mod commits;
mod epoch;
mod evolve;
mod forget;
mod found;
mod left_out;
mod lost;
mod merge;
mod names;
mod operations;
mod pipeline;
mod rules;
mod schemas;

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use millstream_connector::{Bound, Connector, Discovery, FoundColumn, KnownPart, Part, PartChange};
use millstream_lake::At;
use millstream_project::SourceSpec;
use millstream_types::{Field, LANDING_COLUMNS};

pub(crate) use columns::{LandingValues, bronze_schema, with_landing_columns};
pub(crate) use epoch::{Landing, Standing, standing};
pub(crate) use found::Discoveries;
pub(crate) use rules::RowRules;

use crate::{
    EngineError, StepOutcome,
    assets::version_of,
    breaker::LandingBreaker,
    engine::{StepContext, World},
    publish::{drop_unreached, finish_outdated, has_unreached, is_outdated},
    rejected::is_lost,
    rejudge, reprocess,
    run::StepResult,
};
use acknowledge::{UNACKNOWLEDGED, acknowledge};
use commits::{Portion, land_in_portions};
use evolve::{Evolved, FoundPart, evolve};
use left_out::LeftOut;
use lost::LostPositions;

/// The number of parts whose columns are looked at at the same time.
const DESCRIBED_AT_ONCE: usize = 8;

/// The entry among the waiting parts, shown to people, for a reprocessing that made only the first of its two commits.
const INTERRUPTED: &str = "the end of a reprocessing that was interrupted";

/// The entry for rejected rows that a landing left behind which was interrupted, or which does not wait any more.
const LEFT_BEHIND: &str = "rejected rows of a landing that was interrupted";

/// What a landing would take in now: the ids of parts, and what a reprocessing left undone. `is_alone` says that the
/// source's asset is leased, so that the landing that follows can go by this look.
pub(crate) async fn waiting_parts(
    world: &World,
    source: &SourceSpec,
    full: bool,
    is_alone: bool,
) -> Result<Vec<String>, EngineError> {
    world.discoveries.forget(&source.name);
    // By itself nothing lands while the breaker is open; a run that somebody asks for says so.
    if !is_alone && LandingBreaker::of(world, source).await?.halted().is_some() {
        return Ok(Vec::new());
    }
    let standing = standing_before(world, source, full).await?;
    // The process may have ended between a commit and its acknowledgement.
    let is_told = !is_alone || acknowledge(world, source, &standing.landing.parts).await.is_ok();
    let mut found = discover(world, source, known_before(&standing, full)).await?;
    let mut waiting: Vec<_> = found.parts.iter().map(|part| part.id.clone()).collect();
    if !is_told {
        waiting.push(UNACKNOWLEDGED.to_owned());
    }
    let Standing { landing, snapshot } = standing;
    if let Some(bronze) = snapshot {
        if reprocess::interrupted(world, &bronze).await?.is_some() {
            waiting.push(INTERRUPTED.to_owned());
        }
        // A landing that waits takes the rows away that an attempt before it left behind.
        if is_outdated(world, &bronze).await? || waiting.is_empty() && has_unreached(world, &bronze).await? {
            waiting.push(LEFT_BEHIND.to_owned());
        }
    }
    remember_refreshed(world, source, &landing, std::mem::take(&mut found.refreshed)).await?;
    // A source that was not told is told and looked at again by its step, which says what is wrong.
    if is_alone && is_told {
        world.discoveries.keep(&source.name, full, landing.epoch, found);
    }
    if full {
        // A part that is gone counts as waiting too, so that the landing runs and refuses to forget its rows.
        let present: BTreeSet<_> = waiting.iter().cloned().collect();
        waiting.extend(landing.parts.into_iter().map(|part| part.id).filter(|id| !present.contains(id)));
    }
    Ok(waiting)
}

async fn standing_before(world: &World, source: &SourceSpec, full: bool) -> Result<Standing, EngineError> {
    if full { epoch::standing_before_anew(world, source).await } else { standing(world, source).await }
}

/// The parts that a landing leaves alone: none when it replaces everything.
fn known_before(standing: &Standing, full: bool) -> &[KnownPart] {
    if full { &[] } else { &standing.landing.parts }
}

/// Records the new versions of parts that changed without a change of content, so that the next look need not read them
/// again to see that.
async fn remember_refreshed(
    world: &World,
    source: &SourceSpec,
    landing: &Landing,
    refreshed: Vec<KnownPart>,
) -> Result<(), EngineError> {
    if refreshed.is_empty() {
        return Ok(());
    }
    epoch::remember(world, source, &Landing { parts: refreshed, ..*landing }).await
}

/// Lands what waits at `source`. Boxed, because the compiler cannot see that so deep a future is `Send`.
pub(crate) fn land<'a>(
    context: &'a StepContext,
    source: &'a SourceSpec,
) -> BoxFuture<'a, Result<StepResult, EngineError>> {
    Box::pin(land_parts(context, source))
}

async fn land_parts(context: &StepContext, source: &SourceSpec) -> Result<StepResult, EngineError> {
    millstream_usage::counts_bytes();
    reprocess::finish_interrupted(context, &source.table()).await?;
    if let Some(outcome) = LandingBreaker::of(&context.world, source).await?.halted() {
        let snapshot = context.world.lake.snapshot(&source.table(), At::Latest).await?;
        return Ok(StepResult::without_rows(outcome, snapshot.as_deref().map(version_of)));
    }
    let mut lost = LostPositions::default();
    loop {
        match land_after(context, source, &lost).await {
            // Each round has one part more that is read from its beginning, so that the rounds come to an end.
            Err(error) => lost.add(context, source, error).await?,
            Ok(result) => {
                lost.landed(context).await;
                return Ok(result);
            }
        }
    }
}

/// Lands what waits, the parts whose positions are `lost` from their beginnings.
async fn land_after(
    context: &StepContext,
    source: &SourceSpec,
    lost: &LostPositions,
) -> Result<StepResult, EngineError> {
    let world = &context.world;
    let full = context.full_refresh;
    let standing = standing_before(world, source, full).await?;
    let known = lost.known(known_before(&standing, full));
    let mut found = match world.discoveries.take(&source.name, full, standing.landing.epoch) {
        Some(found) => found,
        None => {
            if let Err(error) = acknowledge(world, source, &standing.landing.parts).await {
                acknowledge::note(context, &error);
            }
            discover(world, source, &known).await?
        }
    };
    lost.mark(&mut found.parts);
    if let Some(bronze) = &standing.snapshot {
        finish_outdated(context, bronze).await?;
        if found.parts.is_empty() && has_unreached(world, bronze).await? {
            drop_unreached(context, bronze).await?;
        }
    }
    for waiting in &found.waiting {
        context.note(format!("{} waits: {}", waiting.id, waiting.reason));
    }
    remember_refreshed(world, source, &standing.landing, std::mem::take(&mut found.refreshed)).await?;
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
        forget::refuse_to_lose(context, source, &standing, &found.parts).await?;
        // The landed rows are replaced, so each part is read from its start.
        found.parts.iter_mut().for_each(|part| part.change = PartChange::New);
    }
    let connector = world.connector(source)?;
    let known = world.state.recorded_of(&context.asset).await?;
    // The landing records the definition, so that the strays are told of once.
    if !full && rejudge::is_due(context, known.as_ref())? {
        forget::tell_of_strays(context, source, &standing, connector.as_ref());
    }
    let described = describe(source, connector, found.parts).await?;
    // A full refresh is one commit: until all rows are there again, readers of the table see the former ones.
    let bound = if full { Bound::NONE } else { connector.bound() };
    if bound.is_none() {
        let (result, _) = land_described(context, source, &standing, Portion::whole(described)).await?;
        return Ok(result);
    }
    land_in_portions(context, source, &standing, described, bound).await
}

/// The parts that can be read, each with what it says of itself, and those that cannot.
#[derive(Default)]
struct Described {
    parts: Vec<Part>,
    found: Vec<FoundPart>,
    left_out: Vec<LeftOut>,
}

impl Described {
    /// Takes out the parts of which no row is to be landed.
    fn leave_out(&mut self, broken: Vec<LeftOut>) {
        let is_broken = |id: &str| broken.iter().any(|left| left.part == id);
        self.parts.retain(|part| !is_broken(&part.id));
        self.found.retain(|part| !is_broken(&part.id));
        self.left_out.extend(broken);
    }
}

/// Lands parts in one commit, and returns those that the commit's bound has left over.
async fn land_described(
    context: &StepContext,
    source: &SourceSpec,
    standing: &Standing,
    portion: Portion,
) -> Result<(StepResult, Vec<Part>), EngineError> {
    let Portion { mut described, bound, follows, is_last } = portion;
    let full = context.full_refresh;
    // Each round leaves fewer parts, so that the rounds come to an end.
    loop {
        refuse_to_leave_out(standing, full, &mut described)?;
        let present = match standing.snapshot.as_ref().filter(|_| !full) {
            Some(base) => Some(schemas::with_zones(&context.world, base.table(), own_columns(base)).await?),
            None => None,
        };
        let evolved = match evolve(&source.contract, present.as_deref(), &described.found) {
            Ok(evolved) => evolved,
            Err(refusals) => {
                let result = refused(&refusals, &described.found, standing);
                return Ok((told(context, result, &described.left_out), Vec::new()));
            }
        };
        // Parts that are forgotten lose their rows even when no new rows come.
        let forgets = full && context.forget_gone && !standing.landing.parts.is_empty();
        let is_empty = described.parts.is_empty() && evolved.changes.is_empty() && !forgets;
        if let Some(snapshot) = standing.snapshot.as_ref().filter(|_| is_empty) {
            let result = commit::nothing_new(context, source, snapshot).await?;
            return Ok((told(context, result, &described.left_out), Vec::new()));
        }
        let (parts, evolved) = (&described.parts, &evolved);
        let attempt =
            LandingAttempt { context, source, standing, parts, evolved, full, bound, follows, is_last };
        match pipeline::read_all(&attempt).await? {
            pipeline::Read::Staged(mut staged) => {
                let (evolved, rest) = (staged.evolved.clone(), std::mem::take(&mut staged.rest));
                let is_last = is_last && rest.is_empty();
                let attempt = LandingAttempt { evolved: &evolved, is_last, ..attempt };
                let result = commit::publish(&attempt, *staged).await?;
                return Ok((told(context, result, &described.left_out), rest));
            }
            pipeline::Read::Refused(refusals) => {
                let result = refused(&refusals, &described.found, standing);
                return Ok((told(context, result, &described.left_out), Vec::new()));
            }
            pipeline::Read::Broken(broken) => described.leave_out(broken),
        }
    }
}

/// Gives a landed table's columns the types to which its contract has widened them, without reading a part; `None` where
/// there is nothing to widen. Boxed as `land` is.
pub(crate) fn widen<'a>(
    context: &'a StepContext,
    source: &'a SourceSpec,
    standing: &'a Standing,
) -> BoxFuture<'a, Result<Option<StepResult>, EngineError>> {
    Box::pin(async move {
        let Some(present) = standing.snapshot.as_deref().map(own_columns) else { return Ok(None) };
        match evolve(&source.contract, Some(&present), &[]) {
            Ok(evolved) if evolved.needs_rewrite() => {
                let portion = Portion::whole(Described::default());
                let (result, _) = land_described(context, source, standing, portion).await?;
                Ok(Some(result))
            }
            _ => Ok(None),
        }
    })
}

/// Returns the error of a broken part that cannot be left out: when nothing else would land and nothing has landed
/// before, and in a full refresh, which would forget the rows that were landed of the part.
fn refuse_to_leave_out(
    standing: &Standing,
    full: bool,
    described: &mut Described,
) -> Result<(), EngineError> {
    let landed = |id: &str| standing.landing.parts.iter().any(|part| part.id == id);
    let nothing_to_show = described.parts.is_empty() && (full || standing.snapshot.is_none());
    let at = described.left_out.iter().position(|left| nothing_to_show || full && landed(&left.part));
    at.map_or(Ok(()), |at| Err(described.left_out.swap_remove(at).error))
}

/// The step's result, with a report of the parts that were left out.
fn told(context: &StepContext, mut result: StepResult, left_out: &[LeftOut]) -> StepResult {
    left_out.iter().for_each(|part| part.tell(context));
    result.checks.extend(left_out::report(left_out));
    result
}

/// An attempt at a landing, with everything decided. Each attempt leaves out the parts that broke the one before.
pub(crate) struct LandingAttempt<'a> {
    pub context: &'a StepContext,
    pub source: &'a SourceSpec,
    pub standing: &'a Standing,
    pub parts: &'a [Part],
    pub evolved: &'a Evolved,
    /// Whether everything that was landed before is replaced.
    pub full: bool,
    /// How much of the parts is read.
    pub bound: Bound,
    /// Whether this run has landed another portion of the source before.
    pub follows: bool,
    /// Whether the run lands no other portion of the source after it.
    pub is_last: bool,
}

impl LandingAttempt<'_> {
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

/// The columns of each part, in the order of the parts; parts that are broken are left out.
async fn describe(
    source: &SourceSpec,
    connector: &Arc<dyn Connector>,
    parts: Vec<Part>,
) -> Result<Described, EngineError> {
    use futures::{StreamExt, stream};
    let looks: Vec<_> = parts.iter().map(|part| describe_part(source, connector, part)).collect();
    let looks: Vec<_> = stream::iter(looks).buffered(DESCRIBED_AT_ONCE).collect().await;
    let mut described = Described::default();
    for (part, look) in parts.into_iter().zip(looks) {
        match look {
            Ok(columns) => {
                let names_every_column = connector.names_every_column(&part);
                described.found.push(FoundPart { id: part.id.clone(), columns, names_every_column });
                described.parts.push(part);
            }
            Err(error) => described.left_out.push(LeftOut::of(&part, error)?),
        }
    }
    Ok(described)
}

async fn describe_part(
    source: &SourceSpec,
    connector: &Arc<dyn Connector>,
    part: &Part,
) -> Result<Vec<FoundColumn>, EngineError> {
    connector.describe(part).await.map_err(|error| source_error(source, error))
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

fn refused(refusals: &[evolve::Refusal], parts: &[FoundPart], standing: &Standing) -> StepResult {
    let evolve::Refusal { message, hint } = evolve::told(refusals, parts);
    let outcome =
        StepOutcome::Halted { reason: format!("schema change refused: {message}"), hint: Some(hint) };
    StepResult::without_rows(outcome, standing.snapshot.as_deref().map(version_of))
}

pub(crate) fn source_error(source: &SourceSpec, error: millstream_connector::ConnectorError) -> EngineError {
    EngineError::Source { name: source.name.clone(), source: error }
}
