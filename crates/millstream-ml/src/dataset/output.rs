//! The rows of the dataset on their way to the file: encoded, looked at, written.

use arrow::array::{RecordBatch, UInt8Array};

use super::{
    assemble::{Assembler, OnDemand},
    context::Context,
    encode::{Encoder, FittedColumn, Raw},
    examine::{Figures, Leaks},
    layout::{ColumnSource, Layout},
    plan::DatasetPlan,
    progress::{Counter, Phase, Progress},
    statistics::ColumnStatistics,
    write::{DataWriter, Written},
};
use crate::DatasetError;

/// The outcome of writing the rows.
pub(crate) struct Output {
    pub(crate) written: Written,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) fitted: Vec<FittedColumn>,
}

/// A column of the file.
pub(crate) struct OutputColumn {
    pub(crate) name: String,
    pub(crate) data_type: String,
    /// The source of the column, or of the column that it is an encoding of.
    pub(crate) source: ColumnSource,
    pub(crate) statistics: ColumnStatistics,
}

/// Writes all rows. Where there are encodings, rows are kept until these are fitted.
pub(crate) fn write_rows(
    context: &Context<'_>,
    version: &str,
    assembler: &mut Assembler<'_>,
    leaks: &mut Leaks,
    on_demand: &mut OnDemand<'_>,
) -> Result<Output, DatasetError> {
    let Context { plan, layout, space, report } = *context;
    let is_feature: Vec<bool> =
        layout.sources.iter().map(|source| matches!(source, ColumnSource::Feature { .. })).collect();
    if plan.encodings.is_empty() {
        let encoder = Encoder::nothing(layout);
        let mut rows = RowWriter::new(plan, encoder, &is_feature, version, assembler.total(), report)?;
        while let Some(chunk) = assembler.next(on_demand)? {
            leaks.add(&chunk)?;
            rows.add(&chunk.rows, &chunk.statuses)?;
        }
        return rows.finish(layout);
    }
    let mut raw = Raw::new(layout, &is_feature, space);
    while let Some(chunk) = assembler.next(on_demand)? {
        leaks.add(&chunk)?;
        raw.push(&chunk)?;
    }
    let raw = raw.finish()?;
    let encoder = Encoder::fit(plan, layout, &raw, report)?;
    let mut rows = RowWriter::new(plan, encoder, &is_feature, version, assembler.total(), report)?;
    for batch in raw.batches()? {
        let (batch, statuses) = rows.encoder.split(&batch?, &is_feature)?;
        rows.add(&batch, &statuses)?;
    }
    rows.finish(layout)
}

/// Encodes, examines and writes the rows of the layout, chunk by chunk.
struct RowWriter<'a> {
    encoder: Encoder,
    figures: Figures,
    writer: DataWriter,
    counter: Counter<'a>,
    first: u64,
}

impl<'a> RowWriter<'a> {
    fn new(
        plan: &DatasetPlan,
        encoder: Encoder,
        is_feature: &[bool],
        version: &str,
        total: u64,
        report: &'a dyn Fn(Progress<'_>),
    ) -> Result<Self, DatasetError> {
        let has_status = encoder.spread(is_feature);
        Ok(Self {
            figures: Figures::new(&encoder.schema, &has_status, total, plan.resources.threads),
            writer: DataWriter::new(plan, &encoder.schema, version)?,
            counter: Counter::new(report, Phase::Write, None, Some(total)),
            encoder,
            first: 0,
        })
    }

    fn add(&mut self, rows: &RecordBatch, statuses: &[Option<UInt8Array>]) -> Result<(), DatasetError> {
        let rows = self.encoder.apply(rows)?;
        self.figures.add(&rows, &self.encoder.spread(statuses), self.first)?;
        self.writer.write(&rows)?;
        self.counter.add(rows.num_rows());
        self.first += rows.num_rows() as u64;
        Ok(())
    }

    fn finish(self, layout: &Layout) -> Result<Output, DatasetError> {
        let Self { encoder, figures, writer, .. } = self;
        let fields = encoder.schema.fields().iter().zip(encoder.spread(&layout.sources));
        let columns = fields.zip(figures.finish()?).map(|((field, source), statistics)| {
            let (name, data_type) = (field.name().clone(), field.data_type().to_string());
            OutputColumn { name, data_type, source, statistics }
        });
        let columns = columns.collect();
        Ok(Output { written: writer.finish()?, columns, fitted: encoder.fitted })
    }
}
