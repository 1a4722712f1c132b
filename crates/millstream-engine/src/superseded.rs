//! Rejected rows of a merged table whose keys are computed anew: the new rows take their place, rejected or not.

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::SchemaRef,
};
use datafusion::prelude::SessionContext;
use millstream_connector::column_type;
use millstream_quality::{Contract, ContractColumn, ContractOptions, Relations, restore};
use millstream_sql::incremental::{KeyMatch, KeySet};
use millstream_types::{Severity, TableName, TimestampMicros};

use crate::EngineError;

/// Finds rejected rows by their keys.
#[derive(Debug)]
pub(crate) struct Superseded {
    table: TableName,
    /// Gives the kept values their types again.
    types: Contract,
    keys: Vec<KeyMatch>,
}

impl Superseded {
    pub(crate) fn new<'k>(
        session: &SessionContext,
        table: &TableName,
        schema: &SchemaRef,
        keys: impl Iterator<Item = &'k KeySet>,
    ) -> Result<Self, EngineError> {
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
        let types = Contract::compile(&columns.collect::<Vec<_>>(), &options)
            .map_err(|source| EngineError::Quality { table: table.clone(), source })?;
        let keys = keys
            .map(|keys| KeyMatch::new(session, keys, types.schema()))
            .collect::<Result<_, _>>()
            .map_err(|source| EngineError::Incremental { table: table.clone(), source })?;
        Ok(Self { table: table.clone(), types, keys })
    }

    /// The rejected rows that stay.
    pub(crate) fn without(&self, rejected: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let quality = |source| EngineError::Quality { table: self.table.clone(), source };
        let restored = restore(rejected).map_err(quality)?;
        let typed = self.types.evaluate(&restored.rows).map_err(quality)?;
        let mut stays = vec![true; rejected.num_rows()];
        for keys in &self.keys {
            let gone = keys
                .matches(&typed.rows)
                .map_err(|source| EngineError::Incremental { table: self.table.clone(), source })?;
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
