//! The rejected rows of a step that was halted.
//!
//! They can be looked at like all rejected rows. Their epoch is one that the table never reached, so they are removed when
//! the step is tried again, and no reprocessing takes them in.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray},
    compute::{cast, filter_record_batch},
    datatypes::DataType,
};
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use millstream_lake::{At, DataFile, LakeTable, StagedFile};
use millstream_quality::rejected_schema;
use millstream_sql::{VALID_FROM, VALID_TO};
use millstream_types::SOURCE;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

use super::{Candidate, EPOCH, rejected::commit_rejected};
use crate::{EngineError, stored, writers::Writers};

/// The column that holds the values of a rejected row.
const ROW: &str = "_row";

/// The columns in which two rejected rows have to agree to be the same: the check, the source, and the row itself.
const IDENTITY: [&str; 4] = ["_check", SOURCE, ROW, "_text"];

/// Commits the rows that the step rejected, and keeps the earlier ones, which belong to the version that stays.
pub(super) async fn keep_rejected(candidate: &mut Candidate<'_>) -> Result<(), EngineError> {
    if candidate.rejected.replace || candidate.rejected.superseded.is_some() {
        // The step judged earlier rows again, so the rows that were rejected before are among the new ones too.
        candidate.rejected.files = without_known(candidate).await?;
    }
    let rejected = &mut candidate.rejected;
    rejected.replace = false;
    rejected.replaced_parts.clear();
    rejected.superseded = None;
    commit_rejected(candidate).await.map(drop)
}

/// The step's rejected rows without those that are in the table of rejected rows already.
async fn without_known(candidate: &mut Candidate<'_>) -> Result<Vec<StagedFile>, EngineError> {
    let staged = std::mem::take(&mut candidate.rejected.files);
    let world = &candidate.context.world;
    let table = candidate.table.rejected();
    let Some(base) = world.lake.snapshot(&table, At::Latest).await? else { return Ok(staged) };
    let spec = world.project.table(candidate.table);
    let is_history = spec.is_some_and(|spec| spec.materialize.keeps_states());
    let mut known: HashMap<u128, u64> = HashMap::new();
    let names: Vec<String> = IDENTITY.iter().map(|name| (*name).to_owned()).collect();
    let provider = LakeTable::new(&world.lake, base.schema(), base.files().to_vec())?;
    let reached = ident(EPOCH).lt_eq(lit(candidate.rejected.epoch_before));
    let mut rows = stored::scan(world, &table, provider, &names, Some(reached)).await?;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(&table, source))? {
        for identity in identities(&batch, is_history) {
            *known.entry(identity).or_default() += 1;
        }
    }
    let columns: Vec<_> = rejected_schema().fields().iter().map(|field| field.name().clone()).collect();
    let files = staged.iter().map(DataFile::from).collect();
    let provider = LakeTable::new(&world.lake, rejected_schema(), files)?;
    let mut rows = stored::scan(world, &table, provider, &columns, None).await?;
    let mut writers = Writers::new(&world.lake, &table, rejected_schema(), 1);
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(&table, source))? {
        let is_new = |identity: u128| match known.get_mut(&identity) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        };
        let new: BooleanArray = identities(&batch, is_history).into_iter().map(is_new).map(Some).collect();
        let batch = filter_record_batch(&batch, &new)
            .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
        writers.write(batch).await?;
    }
    let new = writers.finish().await?;
    world.lake.discard(staged).await;
    Ok(new)
}

/// One number for each row, equal where the rows are the same. Those of a history are when their states are, whatever the
/// periods.
fn identities(batch: &RecordBatch, is_history: bool) -> Vec<u128> {
    let texts = |name: &str| -> Option<StringArray> {
        let column: ArrayRef = cast(batch.column_by_name(name)?, &DataType::Utf8).ok()?;
        let texts = column.as_any().downcast_ref::<StringArray>()?;
        if is_history && name == ROW {
            return Some(texts.iter().map(|row| row.map(without_period)).collect());
        }
        Some(texts.clone())
    };
    let columns: Vec<_> = IDENTITY.iter().map(|name| texts(name)).collect();
    let identity = |row: usize| {
        let mut hash = Xxh3::new();
        for column in &columns {
            let text = column.as_ref().filter(|column| column.is_valid(row)).map(|column| column.value(row));
            hash.update(&[u8::from(text.is_some())]);
            hash.update(text.unwrap_or_default().as_bytes());
            hash.update(&[0]);
        }
        hash.digest128()
    };
    (0..batch.num_rows()).map(identity).collect()
}

/// The values of a rejected state without the period in which it held.
fn without_period(row: &str) -> String {
    let Ok(mut values) = serde_json::from_str::<Map<String, Value>>(row) else { return row.to_owned() };
    values.retain(|name, _| name != VALID_FROM && name != VALID_TO);
    Value::Object(values).to_string()
}
