//! Labels, answers and on-demand features side by side: the rows of the dataset, in chunks of a fixed size.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt8Array},
    datatypes::{Field, Int64Type, Schema, SchemaRef, UInt8Type},
};
use millstream_features::view::FeatureSource;
use millstream_spool::Batches;

use super::{
    cutter::Cutter,
    join::Answers,
    labels::Labels,
    layout::{ColumnSource, Layout},
    plan::DatasetPlan,
    split::{SideRows, Sides, Splitter, side_column},
};
use crate::{Cause, DatasetError};

/// Rows of a chunk. Sums of floats depend on it, so it is the same for every build.
pub(crate) const CHUNK_ROWS: usize = 32_768;

/// Computes on-demand features: one array for each of the service, from a batch of their request values and features.
pub type OnDemand<'a> = dyn FnMut(&RecordBatch) -> Result<Vec<ArrayRef>, Cause> + 'a;

/// A chunk of the dataset's rows.
pub(crate) struct Chunk {
    /// The number of the first row.
    pub(crate) first: u64,
    /// The label rows with all their columns.
    pub(crate) labels: RecordBatch,
    /// The rows of the output.
    pub(crate) rows: RecordBatch,
    /// The statuses of each column of the output that is a feature; other columns have none.
    pub(crate) statuses: Vec<Option<UInt8Array>>,
    /// The sides of the split on which the rows are; none without a split.
    pub(crate) sides: Option<Sides>,
}

/// Puts chunks together from labels, answers and on-demand features.
pub(crate) struct Assembler<'a> {
    plan: &'a DatasetPlan,
    layout: &'a Layout,
    labels: Cutter<Batches<'a>>,
    views: Vec<Option<Cutter<Batches<'a>>>>,
    splitter: Option<Splitter>,
    first: u64,
    total: u64,
    pub(crate) sides: SideRows,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(
        plan: &'a DatasetPlan,
        layout: &'a Layout,
        labels: &'a Labels,
        answers: &'a [Option<Answers>],
        splitter: Option<Splitter>,
    ) -> Result<Self, DatasetError> {
        let cutter = |answers: &'a Option<Answers>| {
            let rows = answers.as_ref().map(|answers| &answers.rows);
            rows.map(|rows| Ok(Cutter::new(rows.batches()?, Arc::clone(rows.schema())))).transpose()
        };
        Ok(Self {
            plan,
            layout,
            labels: Cutter::new(labels.rows.batches()?, Arc::clone(labels.rows.schema())),
            views: answers.iter().map(cutter).collect::<Result<_, DatasetError>>()?,
            splitter,
            first: 0,
            total: labels.rows.rows() as u64,
            sides: SideRows::default(),
        })
    }

    /// The number of rows that there will be.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The next chunk; none at the end.
    pub(crate) fn next(&mut self, on_demand: &mut OnDemand<'_>) -> Result<Option<Chunk>, DatasetError> {
        let labels = self.labels.take(CHUNK_ROWS)?;
        let (first, rows) = (self.first, labels.num_rows());
        let wanted = rows.max(1);
        let mut answers = Vec::with_capacity(self.views.len());
        for view in &mut self.views {
            let batch = view.as_mut().map(|view| view.take(wanted)).transpose()?;
            batch.as_ref().map(|batch| check_numbers(batch, first, rows)).transpose()?;
            answers.push(batch);
        }
        if rows == 0 {
            return Ok(None);
        }
        self.first += rows as u64;
        let computed = self.compute(&labels, &answers, on_demand)?;
        let splitter = self.splitter.as_ref();
        let sides = splitter.map(|splitter| splitter.sides(&labels, first, &mut self.sides)).transpose()?;
        let mut columns = Vec::with_capacity(self.layout.sources.len());
        let mut statuses = Vec::with_capacity(self.layout.sources.len());
        for source in &self.layout.sources {
            let (column, status) = match *source {
                ColumnSource::Label(number) => (labels.columns().get(number).cloned(), None),
                ColumnSource::Feature { view, at } => self.feature(&answers, view, at),
                ColumnSource::OnDemand(number) => (computed.get(number).cloned(), None),
                ColumnSource::Split => {
                    (sides.as_ref().map(|sides| Arc::new(side_column(sides)) as ArrayRef), None)
                }
            };
            columns
                .push(column.ok_or_else(|| DatasetError::broken("every column of the output has a source"))?);
            statuses.push(status);
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.layout.schema), columns).map_err(|source| {
            DatasetError::broken(format!("every column has its type and length ({source})"))
        })?;
        Ok(Some(Chunk { first, labels, rows, statuses, sides }))
    }

    /// Values and statuses of a feature.
    fn feature(
        &self,
        answers: &[Option<RecordBatch>],
        view: usize,
        at: usize,
    ) -> (Option<ArrayRef>, Option<UInt8Array>) {
        let count = self.layout.features.get(view).map_or(0, Vec::len);
        let column = |number: usize| answers.get(view)?.as_ref()?.columns().get(number).cloned();
        let status =
            column(1 + count + at).and_then(|status| status.as_primitive_opt::<UInt8Type>().cloned());
        (column(1 + at), status)
    }

    /// The on-demand features of some rows.
    fn compute(
        &self,
        labels: &RecordBatch,
        answers: &[Option<RecordBatch>],
        on_demand: &mut OnDemand<'_>,
    ) -> Result<Vec<ArrayRef>, DatasetError> {
        let wanted = &self.plan.service.on_demand;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = self.on_demand_inputs(labels, answers)?;
        let columns = on_demand(&inputs).map_err(|source| DatasetError::OnDemand { source })?;
        let shape = |found: String| DatasetError::Shape {
            what: "the on-demand features".into(),
            expected: wanted
                .iter()
                .map(|feature| format!("{} {}", feature.name, feature.data_type))
                .collect::<Vec<_>>()
                .join(", "),
            found,
        };
        let is_whole = columns.len() == wanted.len()
            && columns.iter().zip(wanted).all(|(column, feature)| {
                column.len() == labels.num_rows() && *column.data_type() == feature.data_type
            });
        if is_whole {
            Ok(columns)
        } else {
            let found =
                columns.iter().map(|column| format!("{} rows of {}", column.len(), column.data_type()));
            Err(shape(found.collect::<Vec<_>>().join(", ")))
        }
    }

    /// Request values, which are label columns, and the views' features that on-demand ones name.
    fn on_demand_inputs(
        &self,
        labels: &RecordBatch,
        answers: &[Option<RecordBatch>],
    ) -> Result<RecordBatch, DatasetError> {
        let service = &self.plan.service;
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for value in service.request() {
            if let Some(column) = labels.column_by_name(&value.name) {
                columns.push((value.name, Arc::clone(column)));
            }
        }
        for input in service.on_demand.iter().flat_map(|feature| &feature.inputs) {
            let FeatureSource::View { view, feature } = input.source else { continue };
            let features = self.layout.features.get(view);
            let at = features.and_then(|features| features.iter().position(|number| *number == feature));
            let column = at.and_then(|at| self.feature(answers, view, at).0);
            let is_new = !columns.iter().any(|(name, _)| *name == input.name);
            if let Some(column) = column.filter(|_| is_new) {
                columns.push((input.name.clone(), column));
            }
        }
        let field = |(name, column): &(String, ArrayRef)| Field::new(name, column.data_type().clone(), true);
        let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(labels.num_rows()));
        RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(DatasetError::arrow("put the inputs of on-demand features together"))
    }
}

/// Checks that the answers are those of the rows from `first` on: none lost, none twice, none moved.
fn check_numbers(answers: &RecordBatch, first: u64, rows: usize) -> Result<(), DatasetError> {
    let numbers = answers.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>());
    let is_equal = numbers.is_some_and(|numbers| {
        let expected = (first..).map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        numbers.len() == rows
            && numbers.values().iter().copied().zip(expected).all(|(one, other)| one == other)
    });
    if is_equal {
        Ok(())
    } else {
        Err(DatasetError::broken(format!("each label has its answer, in order, from row {first} on")))
    }
}
