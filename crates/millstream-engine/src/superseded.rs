//! Rejected rows whose keys, or whose states of a history, are computed or landed again: the new rows take their place,
//! rejected or not.

use std::fmt;

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::SchemaRef,
};
use millstream_connector::column_type;
use millstream_quality::{Contract, ContractColumn, ContractOptions, Relations, Restored, restore_apart};
use millstream_query::QueryRuntime;
use millstream_sql::incremental::{KeyMatch, KeySet};
use millstream_types::{Severity, TableName, TimestampMicros};

use crate::EngineError;

/// A function that says which of the restored rows are superseded. It is asked apart for rows that have other columns.
type Gone = Box<dyn Fn(&Restored) -> Result<BooleanArray, EngineError> + Send + Sync>;

/// The rejected rows that are superseded.
pub(crate) struct Superseded {
    table: TableName,
    gone: Gone,
}

impl fmt::Debug for Superseded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Superseded").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Superseded {
    /// Supersedes the rejected rows that have a key of one of the sets.
    pub(crate) fn new<'k>(
        runtime: &dyn QueryRuntime,
        table: &TableName,
        schema: &SchemaRef,
        keys: impl Iterator<Item = &'k KeySet>,
    ) -> Result<Self, EngineError> {
        // Gives the kept values their types again.
        let types = types_of(table, schema)?;
        let keys: Vec<KeyMatch> = keys
            .map(|keys| KeyMatch::new(runtime, keys, types.schema()))
            .collect::<Result<_, _>>()
            .map_err(|source| EngineError::Incremental { table: table.clone(), source })?;
        let named = table.clone();
        let gone = move |restored: &Restored| {
            let typed = types.evaluate(&restored.rows);
            let typed = typed.map_err(|source| EngineError::Quality { table: named.clone(), source })?.rows;
            let mut gone = vec![false; typed.num_rows()];
            for keys in &keys {
                let found = keys
                    .matches(&typed)
                    .map_err(|source| EngineError::Incremental { table: named.clone(), source })?;
                gone.iter_mut().zip(found.values()).for_each(|(gone, found)| *gone |= found);
            }
            Ok(BooleanArray::from(gone))
        };
        Ok(Self { table: table.clone(), gone: Box::new(gone) })
    }

    /// Supersedes the rejected rows for which `gone` is true.
    pub(crate) fn by(table: &TableName, gone: Gone) -> Self {
        Self { table: table.clone(), gone }
    }

    /// The rejected rows that stay.
    pub(crate) fn without(&self, rejected: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let quality = |source| EngineError::Quality { table: self.table.clone(), source };
        let mut stays = vec![true; rejected.num_rows()];
        for restored in restore_apart(rejected).map_err(quality)? {
            let gone = (self.gone)(&restored)?;
            for (place, gone) in restored.places.iter().zip(gone.values()) {
                if let Some(stays) = stays.get_mut(*place) {
                    *stays &= !gone;
                }
            }
        }
        filter_record_batch(rejected, &BooleanArray::from(stays))
            .map_err(|source| EngineError::Compute { table: self.table.clone(), source })
    }
}

/// The columns of `schema` as a contract without checks.
pub(crate) fn types_of(table: &TableName, schema: &SchemaRef) -> Result<Contract, EngineError> {
    let columns = schema.fields().iter().filter_map(|field| {
        let column_type = column_type(field.data_type())?;
        Some(ContractColumn { name: field.name().clone(), column_type, pii: false, inferred: false })
    });
    let options = ContractOptions {
        checks: &[],
        type_severity: Severity::Warn,
        relations: &Relations::new(),
        extra: &[],
        now: TimestampMicros(0),
    };
    Contract::compile(&columns.collect::<Vec<_>>(), &options)
        .map_err(|source| EngineError::Quality { table: table.clone(), source })
}
