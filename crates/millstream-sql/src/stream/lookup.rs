//! Rows of a lake table by their key, for a continuous table that looks them up.

use std::{collections::HashMap, fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, UInt32Array},
    compute::{concat_batches, take},
    datatypes::DataType,
    row::{RowConverter, SortField},
};
use datafusion::physical_expr::PhysicalExpr;
use millstream_types::TableName;

use super::{StreamLookup, projected};
use crate::SqlError;

/// The most rows of a table in which rows are looked up.
const ROWS_MAX: usize = u32::MAX as usize;

/// How the rows of a table are found.
#[derive(Clone, Debug)]
pub(super) struct IndexDefinition {
    /// What is compared, over the columns that are read.
    pub(super) key: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) types: Vec<DataType>,
    /// The key in the words of the SQL.
    pub(super) key_text: String,
    /// The columns that each row is given, among those that are read.
    pub(super) columns: Vec<usize>,
}

/// The rows of one version of a table, by their key.
pub struct LookupTable {
    converter: RowConverter,
    by_key: HashMap<Box<[u8]>, u32>,
    columns: Vec<ArrayRef>,
}

impl fmt::Debug for LookupTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupTable").field("rows", &self.by_key.len()).finish_non_exhaustive()
    }
}

impl StreamLookup {
    /// The rows of a version of the table, ready to be found. Rows with a null in their key are found by nobody.
    ///
    /// # Errors
    ///
    /// Two rows have the same key, so that a lookup would have to make two rows of one.
    pub fn table(&self, rows: &[RecordBatch]) -> Result<LookupTable, SqlError> {
        let rows = rows.iter().map(|rows| projected(rows, &self.schema)).collect::<Result<Vec<_>, _>>()?;
        let rows = concat_batches(&self.schema, &rows).map_err(|error| failed(&error))?;
        if rows.num_rows() > ROWS_MAX {
            let message = format!("`{}` has more than {ROWS_MAX} rows, too many to look up in", self.table);
            return Err(SqlError::Execution { message });
        }
        let fields = self.index.types.iter().map(|data_type| SortField::new(data_type.clone()));
        let converter = RowConverter::new(fields.collect()).map_err(|error| failed(&error))?;
        let keys = evaluated(&self.index.key, &rows)?;
        let encoded = converter.convert_columns(&keys).map_err(|error| failed(&error))?;
        let mut by_key = HashMap::with_capacity(rows.num_rows());
        for ((row, key), number) in encoded.iter().enumerate().zip(0_u32..) {
            if keys.iter().any(|column| column.is_null(row)) {
                continue;
            }
            if by_key.insert(Box::from(key.data()), number).is_some() {
                return Err(self.repeated(&keys, row));
            }
        }
        let columns = self.index.columns.iter().filter_map(|at| rows.columns().get(*at));
        Ok(LookupTable { converter, by_key, columns: columns.map(Arc::clone).collect() })
    }

    fn repeated(&self, keys: &[ArrayRef], row: usize) -> SqlError {
        let shown = keys.iter().map(|column| {
            arrow::util::display::array_value_to_string(column, row).unwrap_or_else(|_| "?".into())
        });
        SqlError::LookupKey {
            table: self.table.clone(),
            key: self.index.key_text.clone(),
            value: shown.collect::<Vec<_>>().join(", "),
        }
    }
}

impl LookupTable {
    /// The number of rows that can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The number of the row for each of the keys; null where there is none.
    pub(super) fn find(&self, keys: &[ArrayRef]) -> Result<UInt32Array, SqlError> {
        let encoded = self.converter.convert_columns(keys).map_err(|error| failed(&error))?;
        let found = encoded.iter().enumerate().map(|(row, key)| {
            let is_null = keys.iter().any(|column| column.is_null(row));
            if is_null { None } else { self.by_key.get(key.data()).copied() }
        });
        Ok(found.collect())
    }

    /// The columns of the rows with these numbers, nulls for none.
    pub(super) fn columns(&self, found: &UInt32Array) -> Result<Vec<ArrayRef>, SqlError> {
        let columns = self.columns.iter().map(|column| take(column, found, None));
        columns.collect::<Result<_, _>>().map_err(|error| failed(&error))
    }
}

pub(super) fn evaluated(
    exprs: &[Arc<dyn PhysicalExpr>],
    rows: &RecordBatch,
) -> Result<Vec<ArrayRef>, SqlError> {
    let values = exprs.iter().map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows()));
    values.collect::<Result<_, _>>().map_err(SqlError::from_datafusion)
}

fn failed(error: &arrow::error::ArrowError) -> SqlError {
    SqlError::Execution { message: error.to_string() }
}

/// The error of a lookup whose rows have not been read yet.
pub(super) fn not_read(table: &TableName) -> SqlError {
    SqlError::NotBuilt { table: table.clone() }
}
