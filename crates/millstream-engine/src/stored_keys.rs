//! The keys of a table's stored rows, read as far as new rows could repeat them.
//!
//! Ids mostly grow: most files then hold no key between the smallest and the largest of the new rows, which the
//! files' statistics tell, and are never opened.

use std::collections::BTreeSet;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::{cast, max, min},
    datatypes::{DataType, Int64Type, SchemaRef},
};
use datafusion::{
    common::ScalarValue,
    prelude::{Expr, ident, lit},
};
use futures::TryStreamExt;
use millstream_lake::{DataFile, LakeTable, Snapshot};
use millstream_quality::UniqueIndex;
use millstream_types::{SOURCE, TableName};

use crate::{EngineError, engine::World, stored};

/// Files whose keys are not in the index yet.
#[derive(Debug)]
pub(crate) struct StoredKeys {
    table: TableName,
    schema: SchemaRef,
    files: Vec<DataFile>,
    /// The condition for the rows of these files that count; `None` when all do.
    condition: Option<Expr>,
}

impl StoredKeys {
    /// The keys of a table without rows: none.
    pub(crate) fn none(table: TableName, schema: SchemaRef) -> Self {
        Self { table, schema, files: Vec::new(), condition: None }
    }

    /// The keys of a snapshot's rows, without rows that came from `left_out` parts.
    pub(crate) fn of(snapshot: &Snapshot, left_out: &BTreeSet<String>) -> Self {
        let left_out: Vec<Expr> = left_out.iter().map(|part| lit(part.as_str())).collect();
        let condition = (!left_out.is_empty()).then(|| ident(SOURCE).in_list(left_out, true));
        Self { condition, ..Self::of_files(snapshot, snapshot.files().to_vec()) }
    }

    /// The keys of all rows of some files of the snapshot's table.
    pub(crate) fn of_files(snapshot: &Snapshot, files: Vec<DataFile>) -> Self {
        Self { table: snapshot.table().clone(), schema: snapshot.schema(), files, condition: None }
    }

    /// The keys of those rows that `condition` holds for.
    pub(crate) fn only(self, condition: Expr) -> Self {
        Self { condition: Some(condition), ..self }
    }

    /// Adds to `unique` the keys of each file that could hold a key of `rows`, unless they were added before.
    pub(crate) async fn load_near(
        &mut self,
        world: &World,
        rows: &RecordBatch,
        unique: &mut UniqueIndex,
    ) -> Result<(), EngineError> {
        if self.files.is_empty() || unique.is_empty() || rows.num_rows() == 0 {
            return Ok(());
        }
        // Columns that are not stored yet have no keys.
        let checks: Vec<Vec<KeyRange>> = unique
            .keys()
            .filter(|names| names.iter().all(|name| self.schema.field_with_name(name).is_ok()))
            .map(|names| names.iter().filter_map(|name| KeyRange::of(name, rows)).collect())
            .collect();
        let near =
            |file: &mut DataFile| checks.iter().any(|ranges| ranges.iter().all(|range| range.meets(file)));
        let near: Vec<DataFile> = self.files.extract_if(.., near).collect();
        if near.is_empty() {
            return Ok(());
        }
        let stored = |name: &String| self.schema.field_with_name(name).is_ok();
        let columns: Vec<String> = unique.key_columns().into_iter().filter(stored).collect();
        let provider = LakeTable::new(&world.lake, self.schema.clone(), near)?;
        let mut batches =
            stored::scan(world, &self.table, provider, &columns, self.condition.clone()).await?;
        while let Some(batch) =
            batches.try_next().await.map_err(|source| stored::failed(&self.table, source))?
        {
            unique
                .preload(&batch)
                .map_err(|source| EngineError::Quality { table: self.table.clone(), source })?;
        }
        Ok(())
    }
}

/// The smallest and the largest value of a key column.
struct KeyRange {
    column: String,
    min: i64,
    max: i64,
}

impl KeyRange {
    /// `None` when the column says nothing: it holds no integers, whose statistics are exact, or nulls only.
    fn of(column: &str, rows: &RecordBatch) -> Option<Self> {
        let values = rows.column_by_name(column).filter(|values| values.data_type().is_integer())?;
        let integers = cast(values, &DataType::Int64).ok()?;
        let integers = integers.as_primitive_opt::<Int64Type>()?;
        // The cast has turned values beyond the signed 64 bits into nulls.
        let whole = integers.null_count() == values.null_count();
        Some(Self { column: column.to_owned(), min: min(integers).filter(|_| whole)?, max: max(integers)? })
    }

    /// Whether the file's statistics allow a value in the range.
    fn meets(&self, file: &DataFile) -> bool {
        let bounds = file.column(&self.column, &DataType::Int64);
        let integer = |value: Option<ScalarValue>| match value {
            Some(ScalarValue::Int64(value)) => value,
            _ => None,
        };
        match (integer(bounds.min), integer(bounds.max)) {
            (Some(min), Some(max)) => min <= self.max && self.min <= max,
            _ => true,
        }
    }
}
