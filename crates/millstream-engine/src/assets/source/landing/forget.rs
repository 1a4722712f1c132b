//! Parts that were landed and are not at the source any more: their rows stay, until somebody says that they may go.

use std::collections::BTreeSet;

use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use millstream_connector::{Connector, Intake, Part};
use millstream_lake::Snapshot;
use millstream_log::{LogError, PartitionInfo};
use millstream_project::SourceSpec;
use millstream_types::SOURCE;

use super::Standing;
use crate::{EngineError, engine::StepContext, engine::World, resolver::provider, stored};

/// A full refresh forgets what it cannot read again: it is refused while a landed part is gone, unless the command says
/// that such parts are to be forgotten.
pub(super) async fn refuse_to_lose(
    context: &StepContext,
    source: &SourceSpec,
    standing: &Standing,
    parts: &[Part],
) -> Result<(), EngineError> {
    refuse_to_lose_events(context, source, standing).await?;
    let present: BTreeSet<&str> = parts.iter().map(|part| part.id.as_str()).collect();
    let known = standing.landing.parts.iter().map(|part| part.id.as_str());
    let gone: Vec<&str> = known.filter(|id| !present.contains(id)).collect();
    let Some(first) = gone.first() else { return Ok(()) };
    if context.forget_gone {
        let rows = match &standing.snapshot {
            Some(snapshot) => rows_of(&context.world, snapshot, &gone).await,
            None => Some(0),
        };
        context.note(forgotten(rows, gone.len(), first));
        return Ok(());
    }
    Err(EngineError::Refused {
        table: source.table(),
        message: format!(
            "holds rows of {} part(s) that are gone from the source, such as {first}",
            gone.len()
        ),
        hint: format!(
            "bring them back, run without `--full-refresh`, or forget their rows: \
             `millstream run --full-refresh --forget-gone source:{}`",
            source.name
        ),
    })
}

/// Events that have landed leave the log after a while: read from its beginning, it does not give all rows again.
async fn refuse_to_lose_events(
    context: &StepContext,
    source: &SourceSpec,
    standing: &Standing,
) -> Result<(), EngineError> {
    let world = &context.world;
    if context.forget_gone || standing.landing.parts.is_empty() || world.intake(&source.name).is_none() {
        return Ok(());
    }
    let topic = Intake::topic(&source.name)?;
    // A topic that is gone has no parts, which is told of with those.
    let info = match world.log.open().await?.topic(&topic).await {
        Err(LogError::NoTopic { .. }) => return Ok(()),
        info => info?,
    };
    let is_cut = |partition: &PartitionInfo| partition.offsets.start > 0;
    let Some(cut) = info.partitions.iter().find(|partition| is_cut(partition)) else { return Ok(()) };
    Err(EngineError::Refused {
        table: source.table(),
        message: format!(
            "holds rows of events that the log does not keep any more: those before offset {}",
            cut.offsets.start
        ),
        hint: format!(
            "run without `--full-refresh`, or forget their rows: `millstream run --full-refresh --forget-gone source:{}`",
            source.name
        ),
    })
}

fn forgotten(rows: Option<u64>, parts: usize, first: &str) -> String {
    let rows = match rows {
        Some(1) => "1 row".to_owned(),
        Some(rows) => format!("{rows} rows"),
        // Data files of the table are missing too.
        None => "the rows".to_owned(),
    };
    match parts {
        1 => format!("forgets {rows} of a part that is gone from the source: {first}"),
        _ => format!("forgets {rows} of {parts} parts that are gone from the source, such as {first}"),
    }
}

/// How many rows of the parts are stored; `None` where they cannot be read.
async fn rows_of(world: &World, snapshot: &Snapshot, parts: &[&str]) -> Option<u64> {
    let of_parts = ident(SOURCE).in_list(parts.iter().map(|part| lit(*part)).collect(), false);
    let (rows, columns) = (provider(&world.lake, snapshot).ok()?, [SOURCE.to_owned()]);
    let mut rows = stored::scan(world, snapshot.table(), rows, &columns, Some(of_parts)).await.ok()?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.ok()? {
        count += batch.num_rows() as u64;
    }
    Some(count)
}

/// Tells of landed parts that the source, as it is configured now, no longer includes: their rows stay, which nobody
/// may expect.
pub(super) fn tell_of_strays(
    context: &StepContext,
    source: &SourceSpec,
    standing: &Standing,
    connector: &dyn Connector,
) {
    let known = standing.landing.parts.iter().map(|part| part.id.as_str());
    let strays: Vec<&str> = known.filter(|id| !connector.means(id)).collect();
    let Some(first) = strays.first() else { return };
    let (parts, stay) = match strays.len() {
        1 => (format!("{first} was landed and is"), "its rows stay"),
        many => (format!("{many} parts that were landed, such as {first}, are"), "their rows stay"),
    };
    context.note(format!(
        "{parts} not what the source means now; {stay} until \
         `millstream run --full-refresh --forget-gone source:{}`",
        source.name
    ));
}
