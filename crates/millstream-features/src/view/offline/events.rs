//! The columns of events that a join keeps until it answers.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array},
    compute::{concat, interleave},
    datatypes::{DataType, Field, Schema},
    row::{RowConverter, SortField},
};

use super::plan::{OutputFeatureValue, Plan};
use crate::{FeatureError, aggregate::Column, asof::AsofIndex, window::used_columns};

/// Columns of the batches so far.
#[derive(Debug)]
pub(super) struct Kept {
    /// The columns of newest rows.
    newest: Vec<RecordBatch>,
    /// The batches of each column that features over windows name; empty for all others.
    windowed: Vec<Vec<ArrayRef>>,
    types: Vec<DataType>,
    is_windowed: Vec<bool>,
}

impl Kept {
    pub(super) fn new(plan: &Plan) -> Self {
        let types = plan.column_types();
        let mut is_windowed = vec![false; types.len()];
        for slot in &plan.layout.slots {
            for column in [slot.column, slot.filter].into_iter().flatten() {
                if let Some(flag) = is_windowed.get_mut(column) {
                    *flag = true;
                }
            }
        }
        Self { newest: Vec::new(), windowed: vec![Vec::new(); types.len()], types, is_windowed }
    }

    pub(super) fn push(
        &mut self,
        plan: &Plan,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<(), FeatureError> {
        for ((kept, column), _) in self
            .windowed
            .iter_mut()
            .zip(columns)
            .zip(&self.is_windowed)
            .filter(|(_, is_windowed)| **is_windowed)
        {
            kept.push(Arc::clone(column));
        }
        if !plan.newest.is_empty() {
            let newest = plan.newest.iter().filter_map(|column| columns.get(*column).cloned()).collect();
            self.newest.push(batch(newest, rows)?);
        }
        Ok(())
    }

    /// Orders rows that are equal in the total order by the values of the newest-row features.
    pub(super) fn order_ties(&self, index: &mut AsofIndex) -> Result<(), FeatureError> {
        let mut ties = index.tied_rows();
        let Some(first) = self.newest.first().filter(|_| !ties.is_empty()) else { return Ok(()) };
        let mut ends = Vec::with_capacity(self.newest.len());
        let mut end = 0;
        for batch in &self.newest {
            end += batch.num_rows();
            ends.push(end);
        }
        let place = |row: &u32| {
            let batch = ends.partition_point(|end| *end <= *row as usize);
            (batch, *row as usize - batch.checked_sub(1).and_then(|at| ends.get(at)).copied().unwrap_or(0))
        };
        let tied: Vec<u32> = ties.iter().flatten().copied().collect();
        let places: Vec<_> = tied.iter().map(place).collect();
        let mut columns = Vec::with_capacity(first.num_columns());
        for column in 0..first.num_columns() {
            let parts: Vec<&dyn Array> =
                self.newest.iter().map(|batch| batch.column(column).as_ref()).collect();
            columns.push(interleave(&parts, &places).map_err(FeatureError::arrow("compare equal events"))?);
        }
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let failed = FeatureError::arrow("compare equal events");
        let rows = RowConverter::new(fields).and_then(|encoder| encoder.convert_columns(&columns));
        let rows = rows.map_err(failed)?;
        let position: HashMap<u32, usize> = tied.iter().copied().zip(0..).collect();
        let code = |row: &u32| position.get(row).map(|at| rows.row(*at));
        for run in &mut ties {
            run.sort_by(|one, other| code(one).cmp(&code(other)));
        }
        index.set_tied_rows(&ties);
        Ok(())
    }

    /// The columns that windows name, in one piece each, and the batches of the columns of the wanted newest-row features.
    pub(super) fn finish(self, plan: &Plan) -> Result<Finished, FeatureError> {
        let mut columns = Vec::with_capacity(self.windowed.len());
        for (parts, data_type) in self.windowed.into_iter().zip(&self.types) {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            columns.push(match parts.as_slice() {
                [] => new_empty_array(data_type),
                parts => concat(parts).map_err(FeatureError::arrow("put the batches of events together"))?,
            });
        }
        Ok(Finished { windowed: used_columns(&plan.layout, &columns)?, newest: wanted(plan, &self.newest)? })
    }
}

/// The columns of all events.
pub(super) struct Finished {
    pub(super) windowed: Vec<Option<Arc<Column>>>,
    pub(super) newest: Vec<RecordBatch>,
}

/// The batches with the columns of wanted features only, in the order of the output.
fn wanted(plan: &Plan, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, FeatureError> {
    let place = |value: OutputFeatureValue| match value {
        OutputFeatureValue::Newest(place) => Some(place),
        OutputFeatureValue::Window(_) => None,
    };
    let places: Vec<usize> = plan.features.iter().filter_map(|feature| place(feature.value)).collect();
    let one = |rows: &RecordBatch| {
        let columns = places.iter().filter_map(|place| rows.columns().get(*place).cloned()).collect();
        batch(columns, rows.num_rows())
    };
    batches.iter().map(one).collect()
}

fn batch(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, FeatureError> {
    let field =
        |(at, column): (usize, &ArrayRef)| Field::new(format!("f{at}"), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options);
    batch.map_err(FeatureError::arrow("keep a batch of events"))
}
