//! Which of some rows in memory have a key of a set.

use std::{collections::HashSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, RecordBatch},
        compute::cast,
        datatypes::{DataType, SchemaRef},
        row::{OwnedRow, RowConverter, SortField},
    },
    common::{DFSchema, Result},
    physical_expr::PhysicalExpr,
};
use millstream_query::QueryRuntime;

use super::{error::IncrementalError, key_set::KeySet};

/// A [`KeySet`], prepared for looking rows up.
#[derive(Debug)]
pub struct KeyMatch {
    exprs: Vec<(Arc<dyn PhysicalExpr>, DataType)>,
    converter: RowConverter,
    keys: HashSet<OwnedRow>,
}

impl KeyMatch {
    /// Prepares the keys for rows that have the columns of `schema`, the table's own.
    pub fn new(
        runtime: &dyn QueryRuntime,
        keys: &KeySet,
        schema: &SchemaRef,
    ) -> Result<Self, IncrementalError> {
        Self::prepare(runtime, keys, schema).map_err(IncrementalError::engine("looking keys up"))
    }

    fn prepare(runtime: &dyn QueryRuntime, keys: &KeySet, schema: &SchemaRef) -> Result<Self> {
        let columns = DFSchema::try_from(Arc::clone(schema))?;
        let types: Vec<DataType> = keys.batch().columns().iter().map(|key| key.data_type().clone()).collect();
        let converter = RowConverter::new(types.iter().cloned().map(SortField::new).collect())?;
        let rows = converter.convert_columns(keys.batch().columns())?;
        let state = runtime.session();
        let exprs =
            keys.exprs.iter().zip(types).map(|(expr, data_type)| {
                Ok((state.create_physical_expr(expr.clone(), &columns)?, data_type))
            });
        Ok(Self {
            exprs: exprs.collect::<Result<_>>()?,
            keys: rows.iter().map(|row| row.owned()).collect(),
            converter,
        })
    }

    /// True for each row whose key is in the set; nulls equal nulls.
    pub fn matches(&self, rows: &RecordBatch) -> Result<BooleanArray, IncrementalError> {
        self.look_up(rows).map_err(IncrementalError::engine("looking keys up"))
    }

    fn look_up(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let columns = self.exprs.iter().map(|(expr, data_type)| {
            let values = expr.evaluate(rows)?.into_array(rows.num_rows())?;
            Ok(cast(&values, data_type)?)
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let keys = self.converter.convert_columns(&columns)?;
        Ok(keys.iter().map(|key| Some(self.keys.contains(&key.owned()))).collect())
    }
}
