//! The rows that took no part in a continuous table, in `<table>__late`.

use chrono::{DateTime, SecondsFormat};
use millstream_lake::{At, Operation, StagedFile};
use millstream_quality::{RejectedRows, rejected_schema};
use millstream_stream::{Refused, RefusedReason};

use super::commit::Epoch;
use crate::{
    EngineError,
    commit_info::PIPELINE_TXN,
    publish::{Change, drop_epochs},
    writers::Writers,
};

/// Commits the rows of an epoch before the table itself. Those of an epoch that the table never reached are replaced: the rows that it was made of
/// are taken in again.
pub(super) async fn commit(epoch: &Epoch<'_>, refused: &[Refused]) -> Result<(), EngineError> {
    let (world, table) = (&epoch.context.world, epoch.table.late());
    let base = world.lake.snapshot(&table, At::Latest).await?;
    let reached = base.as_ref().and_then(|base| base.txn(PIPELINE_TXN)).unwrap_or(0);
    let (mut remove, mut add) = (Vec::new(), Vec::new());
    if let Some(base) = base.as_deref().filter(|_| reached >= epoch.number) {
        (remove, add) = drop_epochs(world, base, epoch.number - 1, None).await?;
    }
    add.extend(stage(epoch, refused).await?);
    if add.is_empty() && remove.is_empty() {
        return Ok(());
    }
    let operation = if remove.is_empty() { Operation::Append } else { Operation::Overwrite };
    // The number of an epoch that is tried again is in the table already.
    let txns = if reached < epoch.number { vec![(PIPELINE_TXN, epoch.number)] } else { Vec::new() };
    let schema = base.is_none().then(rejected_schema);
    let change =
        Change { add, remove, schema, operation, txns, ..Change::of(&table, base.as_deref(), epoch.now) };
    let committed = change.commit(epoch.context).await;
    if committed.is_err() {
        world.lake.abandon(&table).await;
    }
    committed.map(drop)
}

async fn stage(epoch: &Epoch<'_>, refused: &[Refused]) -> Result<Vec<StagedFile>, EngineError> {
    let world = &epoch.context.world;
    let made = RejectedRows { run: epoch.context.run.clone(), epoch: epoch.number, now: epoch.now };
    let mut writers = Writers::new(&world.lake, &epoch.table.late(), rejected_schema(), 1);
    for Refused { stage, reason, watermark, rows } in refused {
        let text = reason_text(*reason, stage, *watermark);
        let rows = made
            .took_no_part(rows, reason.as_str(), &text, stage)
            .map_err(|source| EngineError::Quality { table: epoch.table.clone(), source })?;
        writers.write(rows).await?;
    }
    writers.finish().await
}

fn reason_text(reason: RefusedReason, stage: &str, watermark: i64) -> String {
    match reason {
        RefusedReason::Late => {
            let instant = DateTime::from_timestamp_micros(watermark);
            let passed =
                instant.map_or_else(String::new, |it| it.to_rfc3339_opts(SecondsFormat::Millis, true));
            format!(
                "everything that the row belongs to in `{stage}` was complete: the watermark was {passed}"
            )
        }
        RefusedReason::NoTime => format!("`{stage}` goes by the event time, which is null"),
        RefusedReason::TimeOutOfRange => format!("the event time is out of the range of `{stage}`"),
        RefusedReason::Future => {
            format!("the event time is further ahead of the row's arrival than `{stage}` allows")
        }
        RefusedReason::Overflow => {
            format!("an aggregate of `{stage}` is beyond its type; the row is in the table with a null")
        }
    }
}
