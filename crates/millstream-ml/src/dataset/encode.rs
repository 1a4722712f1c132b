//! Encodings: fitted on the training side, a column at a time, then applied to all rows.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt8Array, new_empty_array},
    compute::concat,
    datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type},
};
use millstream_features::{
    FeatureError,
    encode::{Fitted, apply_chain, chain_columns, fit_chain},
};
use millstream_spool::{Space, Spool, SpoolWriter};
use serde::{Deserialize, Serialize};

use super::{
    assemble::Chunk,
    examine::training,
    layout::Layout,
    plan::DatasetPlan,
    progress::{Counter, Phase, Progress},
};
use crate::DatasetError;

/// Encodings of one column as they were fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedColumn {
    /// The name of the column before its encodings.
    pub column: String,
    /// The names of the columns that stand in its place in the output.
    pub columns: Vec<String>,
    /// The fitted encodings, which are applied one after the other.
    pub fitted: Vec<Fitted>,
}

/// The rows before encodings, until the encodings are fitted.
pub(crate) struct Raw {
    /// The columns of the layout, then a status column for each feature, then whether the row is for training.
    rows: SpoolWriter,
}

impl Raw {
    pub(crate) fn new(layout: &Layout, has_status: &[bool], space: &Arc<Space>) -> Self {
        let fields = layout.schema.fields().iter().map(|field| field.as_ref().clone());
        let statuses = has_status.iter().filter(|has_status| **has_status).zip(0..);
        let statuses = statuses.map(|(_, at)| Field::new(format!("s{at}"), DataType::UInt8, false));
        let training = Field::new("training", DataType::Boolean, false);
        let schema = Schema::new(fields.chain(statuses).chain([training]).collect::<Vec<_>>());
        Self { rows: SpoolWriter::new(space, Arc::new(schema)) }
    }

    pub(crate) fn push(&mut self, chunk: &Chunk) -> Result<(), DatasetError> {
        let statuses = chunk.statuses.iter().flatten().map(|status| Arc::new(status.clone()) as ArrayRef);
        let training = Arc::new(training(chunk.sides.as_ref(), chunk.rows.num_rows()));
        let columns = chunk.rows.columns().iter().cloned().chain(statuses).chain([training as ArrayRef]);
        let batch = RecordBatch::try_new(Arc::clone(self.rows.schema()), columns.collect());
        Ok(self.rows.push(batch.map_err(DatasetError::arrow("keep rows for encodings"))?)?)
    }

    pub(crate) fn finish(self) -> Result<Spool, DatasetError> {
        Ok(self.rows.finish()?)
    }
}

/// Turns the columns of the layout into the columns of the output.
pub(crate) struct Encoder {
    /// For each column of the layout, its encodings; empty where it stays as it is.
    chains: Vec<Vec<Fitted>>,
    pub(crate) schema: SchemaRef,
    /// For each column of the output, the number of the column of the layout that it comes from.
    pub(crate) origins: Vec<usize>,
    pub(crate) fitted: Vec<FittedColumn>,
}

impl Encoder {
    /// An encoder without encodings: every column stays as it is.
    pub(crate) fn nothing(layout: &Layout) -> Self {
        let count = layout.sources.len();
        let chains = vec![Vec::new(); count];
        Self { chains, schema: Arc::clone(&layout.schema), origins: (0..count).collect(), fitted: Vec::new() }
    }

    /// Fits the encodings of the plan.
    pub(crate) fn fit(
        plan: &DatasetPlan,
        layout: &Layout,
        raw: &Spool,
        report: &dyn Fn(Progress<'_>),
    ) -> Result<Self, DatasetError> {
        let mut counter = Counter::new(report, Phase::Fit, None, Some(plan.encodings.len() as u64));
        let number = |name: &str| layout.schema.index_of(name).ok();
        let last = raw.schema().fields().len().saturating_sub(1);
        let training = whole(raw, last)?.as_boolean().clone();
        let mut chains = vec![Vec::new(); layout.sources.len()];
        for encoding in &plan.encodings {
            let Some(at) = number(&encoding.column) else { continue };
            let column = whole(raw, at)?;
            let target = encoding.target.as_deref().and_then(number);
            let target = target.map(|target| whole(raw, target)).transpose()?;
            let chain = fit_chain(&encoding.encodings, &column, target.as_ref(), &training);
            if let Some(slot) = chains.get_mut(at) {
                *slot = chain.map_err(failed(&encoding.column, "fitted"))?;
            }
            counter.add(1);
        }
        Self::new(layout, chains)
    }

    fn new(layout: &Layout, chains: Vec<Vec<Fitted>>) -> Result<Self, DatasetError> {
        let (mut fields, mut origins, mut fitted) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for (number, (field, chain)) in layout.schema.fields().iter().zip(&chains).enumerate() {
            let columns = chain_columns(chain, field);
            for column in &columns {
                if !seen.insert(column.name().clone()) {
                    return Err(DatasetError::DuplicateColumn {
                        name: column.name().clone(),
                        first: "another column".into(),
                        second: format!("an encoding of `{}`", field.name()),
                    });
                }
            }
            if !chain.is_empty() {
                let columns = columns.iter().map(|column| column.name().clone()).collect();
                fitted.push(FittedColumn { column: field.name().clone(), columns, fitted: chain.clone() });
            }
            origins.extend(columns.iter().map(|_| number));
            fields.extend(columns.into_iter().map(|column| column.with_nullable(true)));
        }
        Ok(Self { chains, schema: Arc::new(Schema::new(fields)), origins, fitted })
    }

    /// The rows of the output for rows of the layout.
    pub(crate) fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch, DatasetError> {
        let mut columns = Vec::with_capacity(self.origins.len());
        let schema = rows.schema();
        for ((column, chain), field) in rows.columns().iter().zip(&self.chains).zip(schema.fields()) {
            columns.extend(apply_chain(chain, column).map_err(failed(field.name(), "applied"))?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(DatasetError::arrow("put encoded columns together"))
    }

    /// Rows of the layout out of a batch of [`Raw`], and the statuses of their columns.
    pub(crate) fn split(
        &self,
        batch: &RecordBatch,
        has_status: &[bool],
    ) -> Result<(RecordBatch, Vec<Option<UInt8Array>>), DatasetError> {
        let count = self.chains.len();
        let rows = batch.project(&(0..count).collect::<Vec<_>>());
        let mut next = count..;
        let mut status = |has_status: &bool| {
            let at = if *has_status { next.next()? } else { return None };
            batch.columns().get(at)?.as_primitive_opt::<UInt8Type>().cloned()
        };
        let statuses = has_status.iter().map(&mut status).collect();
        Ok((rows.map_err(DatasetError::arrow("choose columns"))?, statuses))
    }

    /// Turns values that belong to the columns of the layout into values for the columns of the output.
    pub(crate) fn spread<T: Clone>(&self, of_layout: &[T]) -> Vec<T> {
        self.origins.iter().filter_map(|origin| of_layout.get(*origin).cloned()).collect()
    }
}

/// One column of all rows.
fn whole(raw: &Spool, column: usize) -> Result<ArrayRef, DatasetError> {
    let mut parts = Vec::new();
    for batch in raw.columns(Some(vec![column]))? {
        parts.extend(batch?.columns().first().cloned());
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    if parts.is_empty() {
        return Ok(new_empty_array(raw.schema().field(column).data_type()));
    }
    concat(&parts).map_err(DatasetError::arrow("put a column together"))
}

fn failed(column: &str, action: &'static str) -> impl FnOnce(FeatureError) -> DatasetError {
    let column = column.to_owned();
    move |source| DatasetError::Encoding { column, action, source }
}
