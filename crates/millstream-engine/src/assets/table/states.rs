//! Rejected states of a history.
//!
//! A history keeps the states that it has seen, and its table of rejected rows keeps those that broke a check: both stay when the
//! inputs no longer have them. A rejected state that a build computes again is judged again, so what was kept of it before goes.

use std::collections::{BTreeMap, HashSet};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch},
    compute::cast,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use futures::TryStreamExt;
use millstream_lake::Snapshot;
use millstream_project::Materialize;
use millstream_quality::{Contract, Restored, restore_apart};
use millstream_sql::{VALID_FROM, VALID_TO, conform, incremental::Spool};
use millstream_types::TableName;
use xxhash_rust::xxh3::xxh3_128;

use super::build::BuildAttempt;
use crate::{
    EngineError,
    resolver::provider,
    stored,
    superseded::{Superseded, types_of},
};

/// States as hashes of their values, by the names of the columns that the values are of. Rows that were rejected by an earlier
/// definition may have fewer columns than the table.
type States = BTreeMap<Vec<String>, HashSet<u128>>;

/// The earlier rejected rows whose states are among `rows`; `None` if there are none.
pub(super) async fn judged_again(
    attempt: &BuildAttempt<'_>,
    rows: &Spool,
) -> Result<Option<Superseded>, EngineError> {
    let Some(rejected) = &attempt.rejected else { return Ok(None) };
    let reader = StateReader::new(attempt)?;
    let known = reader.rejected(attempt, rejected).await?;
    let failed = |source| stored::failed(&attempt.spec.name, source);
    let mut again = States::new();
    let mut rows = rows.stream().map_err(failed)?;
    while let Some(batch) = rows.try_next().await.map_err(failed)? {
        attempt.context.check_cancelled()?;
        let batch = conform(&batch, &attempt.schema).map_err(|source| reader.failed(source))?;
        for (columns, states) in &known {
            let given = reader.states(columns, &batch)?;
            let found = given.into_iter().filter(|state| states.contains(state));
            again.entry(columns.clone()).or_default().extend(found);
        }
    }
    if again.values().all(HashSet::is_empty) {
        return Ok(None);
    }
    let gone = move |restored: &Restored| reader.are_among(&again, restored);
    Ok(Some(Superseded::by(&attempt.spec.name, Box::new(gone))))
}

/// Reads states out of rows. The period in which a state held is no part of it.
struct StateReader {
    table: TableName,
    /// The table's columns, for rejected rows, whose values are kept as text.
    types: Contract,
    key: Vec<String>,
}

impl StateReader {
    fn new(attempt: &BuildAttempt<'_>) -> Result<Self, EngineError> {
        let key = match &attempt.spec.materialize {
            Materialize::History { key, .. } => key.iter().map(|name| name.value.clone()).collect(),
            _ => Vec::new(),
        };
        let table = attempt.spec.name.clone();
        Ok(Self { types: types_of(&table, &attempt.schema)?, table, key })
    }

    /// The states of all rejected rows.
    async fn rejected(&self, attempt: &BuildAttempt<'_>, rejected: &Snapshot) -> Result<States, EngineError> {
        let world = &attempt.context.world;
        let failed = |source| stored::failed(rejected.table(), source);
        let columns: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
        let rows = provider(&world.lake, rejected)?;
        let mut rows = stored::scan(world, rejected.table(), rows, &columns, None).await?;
        let mut known = States::new();
        while let Some(batch) = rows.try_next().await.map_err(failed)? {
            let quality = |source| EngineError::Quality { table: self.table.clone(), source };
            for restored in restore_apart(&batch).map_err(quality)? {
                if let Some(columns) = self.columns(restored.rows.schema_ref()) {
                    let states = self.states(&columns, &self.typed(&restored)?)?;
                    known.entry(columns).or_default().extend(states);
                }
            }
        }
        Ok(known)
    }

    /// True for each row whose state is one of `states`.
    fn are_among(&self, states: &States, restored: &Restored) -> Result<BooleanArray, EngineError> {
        let columns = self.columns(restored.rows.schema_ref());
        let Some((columns, states)) = columns.and_then(|columns| states.get_key_value(&columns)) else {
            return Ok(vec![false; restored.rows.num_rows()].into());
        };
        let found = self.states(columns, &self.typed(restored)?)?;
        Ok(found.iter().map(|state| Some(states.contains(state))).collect())
    }

    /// The columns of states that rows of `schema` have; `None` if they lack one of the key. Maps are left out, because they
    /// cannot be read from text.
    fn columns(&self, schema: &Schema) -> Option<Vec<String>> {
        let has = |name: &String| schema.field_with_name(name).is_ok();
        let names = self.types.schema().fields().iter().map(|field| field.name().clone());
        let names = names.filter(|name| name != VALID_FROM && name != VALID_TO);
        self.key.iter().all(has).then(|| names.filter(has).collect())
    }

    fn typed(&self, restored: &Restored) -> Result<RecordBatch, EngineError> {
        let evaluated = self.types.evaluate(&restored.rows);
        Ok(evaluated.map_err(|source| EngineError::Quality { table: self.table.clone(), source })?.rows)
    }

    /// The state of each row, in these columns.
    fn states(&self, columns: &[String], rows: &RecordBatch) -> Result<Vec<u128>, EngineError> {
        hashes(columns, rows, self.types.schema()).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: ArrowError) -> EngineError {
        EngineError::Compute { table: self.table.clone(), source }
    }
}

/// One number for each row, equal where the values of these columns are. The values are compared in the types of `schema`.
fn hashes(columns: &[String], rows: &RecordBatch, schema: &SchemaRef) -> Result<Vec<u128>, ArrowError> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for name in columns {
        let data_type = schema.field_with_name(name)?.data_type();
        arrays.push(cast(rows.column(rows.schema_ref().index_of(name)?), data_type)?);
        fields.push(SortField::new(data_type.clone()));
    }
    let values = RowConverter::new(fields)?.convert_columns(&arrays)?;
    Ok(values.iter().map(|values| xxh3_128(values.as_ref())).collect())
}
