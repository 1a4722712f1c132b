//! Rows that take the place of stored ones: which files hold those, and what stays of these files.

use std::ops::Not;

use arrow::{array::BooleanArray, compute::filter_record_batch};
use datafusion::{
    functions_aggregate::min_max::{MaxAccumulator, MinAccumulator},
    logical_expr::{Accumulator, Expr, utils::conjunction},
    prelude::{ident, lit},
};
use futures::TryStreamExt;
use millstream_lake::{DataFile, LakeTable, ScanCount, Snapshot, StagedFile};
use millstream_types::TableName;

use super::buffer::{Keys, compute};
use crate::{EngineError, engine::World, receipt, stored, writers::Writers};

/// Files that lose rows, and new files with those of their rows that stay.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    pub remove: Vec<DataFile>,
    pub kept: Vec<StagedFile>,
    pub rows_gone: u64,
}

/// Takes the stored rows that have one of the keys out of their files.
pub(super) async fn replace(world: &World, base: &Snapshot, keys: &Keys) -> Result<Replaced, EngineError> {
    let table = base.table();
    let Some(condition) = near(keys, table)? else { return Ok(Replaced::default()) };
    let touched = LakeTable::files_matching(world.sql.runtime().session(), base, &condition)?;
    if touched.is_empty() {
        return Ok(Replaced::default());
    }
    let columns: Vec<String> = base.schema().fields().iter().map(|field| field.name().clone()).collect();
    let scanned = ScanCount::default();
    let provider = LakeTable::counted(&world.lake, base.schema(), touched.clone(), &scanned)?;
    let mut rows = stored::scan(world, table, provider, &columns, None).await?;
    let mut writers = Writers::new(&world.lake, table, base.schema(), world.options.parallelism.get());
    let mut gone = 0;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        let encoded = keys.key.encode(&keys.key.columns(&batch, table)?, table)?;
        let stays: BooleanArray = encoded.iter().map(|key| Some(keys.encoded.contains(key).not())).collect();
        let stays = filter_record_batch(&batch, &stays).map_err(|source| compute(table, source))?;
        gone += (batch.num_rows() - stays.num_rows()) as u64;
        writers.write(stays).await?;
    }
    let kept = writers.finish().await?;
    receipt::check_rewritten(table, &touched, Some(gone), &kept)?;
    if gone == 0 {
        world.lake.discard(kept).await;
        return Ok(Replaced::default());
    }
    Ok(Replaced { remove: touched, kept, rows_gone: gone })
}

/// True for every stored row that may have one of the keys; `None` without keys.
fn near(keys: &Keys, table: &TableName) -> Result<Option<Expr>, EngineError> {
    let Some(columns) = keys.batch(table)? else { return Ok(None) };
    let failed = |source| stored::failed(table, source);
    let mut near = vec![lit(true)];
    for (name, column) in keys.key.names.iter().zip(columns.columns()) {
        let data_type = column.data_type();
        // Statistics of files say nothing of nulls among other values, and have bounds of ordered types alone.
        if column.null_count() > 0 || data_type.is_nested() || data_type.is_floating() {
            continue;
        }
        let (mut min, mut max) = (
            MinAccumulator::try_new(data_type).map_err(failed)?,
            MaxAccumulator::try_new(data_type).map_err(failed)?,
        );
        min.update_batch(std::slice::from_ref(column)).map_err(failed)?;
        max.update_batch(std::slice::from_ref(column)).map_err(failed)?;
        let (min, max) = (min.evaluate().map_err(failed)?, max.evaluate().map_err(failed)?);
        if !min.is_null() && !max.is_null() {
            near.push(ident(name).gt_eq(lit(min)).and(ident(name).lt_eq(lit(max))));
        }
    }
    Ok(conjunction(near))
}
