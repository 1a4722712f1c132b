//! The table of rejected rows: what is kept of a row that failed, and how it comes back.

mod json;
mod restore;

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit},
};
use millstream_connector::{MalformedRow, Positions};
use millstream_types::{POSITION, RunId, SOURCE, TimestampMicros};

pub use restore::{Restored, restore, restore_apart};

use crate::{Contract, Evaluated, QualityError};

/// The check that a row fails which could not be decoded at all.
pub const MALFORMED: &str = "malformed";

pub(crate) const ROW: &str = "_row";
pub(crate) const REASON: &str = "_reason";
pub(crate) const TEXT: &str = "_text";

/// The schema of every table of rejected rows.
#[must_use]
pub fn rejected_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("_rejected_at", instant, true),
        text("_run"),
        Field::new("_epoch", DataType::Int64, true),
        text("_check"),
        text(REASON),
        text(SOURCE),
        Field::new(POSITION, DataType::Int64, true),
        text("_columns"),
        text(ROW),
        text(TEXT),
    ]))
}

/// Where the rows of a batch come from.
#[derive(Clone, Copy, Debug)]
pub enum Sources<'a> {
    /// All rows come from this part of the source.
    One(&'a str),
    /// Each row comes from the part at its place in this array, which is as long as the batch.
    Each(&'a StringArray),
}

/// Makes rejected rows of one landing epoch.
#[derive(Clone, Debug)]
pub struct RejectedRows {
    pub run: RunId,
    pub epoch: i64,
    pub now: TimestampMicros,
}

impl RejectedRows {
    /// The rejected rows of a batch, in its order: the first failing check that rejects, every reason, and
    /// the values as they came. Empty when no row was rejected.
    pub fn build(
        &self,
        contract: &Contract,
        raw: &RecordBatch,
        evaluated: &Evaluated,
        positions: &Positions,
        sources: &Sources<'_>,
    ) -> Result<RecordBatch, QualityError> {
        let Some(rejected) = evaluated.rejected() else {
            return Ok(RecordBatch::new_empty(rejected_schema()));
        };
        let view = evaluated.view(raw);
        let rows: Vec<usize> = rejected.set_indices().collect();
        let (mut checks, mut reasons) = (StringBuilder::new(), StringBuilder::new());
        let (mut columns, mut values) = (StringBuilder::new(), StringBuilder::new());
        for row in &rows {
            let failed = evaluated.failures.iter().filter(|failure| failure.rows.value(*row));
            let failed: Vec<usize> = failed.map(|failure| failure.check).collect();
            let first = failed.iter().map(|check| &contract.checks()[*check]).find(|check| check.rejects());
            checks.append_option(first.map(|check| check.id.as_str()));
            columns.append_option(first.map(|check| check.columns.join(",")));
            let told = failed.iter().map(|check| contract.kernels()[*check].reason(&view, *row));
            reasons.append_value(told.collect::<Vec<_>>().join("; "));
            values.append_value(json::row(raw, *row));
        }
        let positions: Int64Array = rows.iter().map(|row| positions.get(*row)).collect::<Vec<_>>().into();
        let sources: StringArray = match sources {
            Sources::One(source) => rows.iter().map(|_| Some(*source)).collect(),
            Sources::Each(sources) => rows.iter().map(|row| Some(sources.value(*row))).collect(),
        };
        self.batch(Parts {
            checks: checks.finish(),
            reasons: reasons.finish(),
            columns: columns.finish(),
            sources,
            positions,
            rows: Some(values.finish()),
            texts: None,
        })
    }

    /// Rows that took no part for a reason that is none of a contract's, with the values as they came. `check` is the reason's word. Where the rows say
    /// where they come from, that is kept, or else `source` stands for it.
    pub fn took_no_part(
        &self,
        rows: &RecordBatch,
        check: &str,
        reason: &str,
        source: &str,
    ) -> Result<RecordBatch, QualityError> {
        let count = rows.num_rows();
        let repeated = |text: &str| std::iter::repeat_n(Some(text), count).collect::<StringArray>();
        let sources = rows.column_by_name(SOURCE).and_then(|column| column.as_string_opt::<i32>()).cloned();
        let positions =
            rows.column_by_name(POSITION).and_then(|column| column.as_primitive_opt::<Int64Type>()).cloned();
        self.batch(Parts {
            checks: repeated(check),
            reasons: repeated(reason),
            columns: repeated(""),
            sources: sources.unwrap_or_else(|| repeated(source)),
            positions: positions.unwrap_or_else(|| Int64Array::new_null(count)),
            rows: Some((0..count).map(|row| Some(json::row(rows, row))).collect()),
            texts: None,
        })
    }

    /// Rows that could not be decoded, with their original text, and with their bytes where the text cannot stand for them.
    pub fn malformed(&self, rows: &[MalformedRow], source: &str) -> Result<RecordBatch, QualityError> {
        let repeated = |text: &str| rows.iter().map(|_| Some(text)).collect::<StringArray>();
        self.batch(Parts {
            checks: repeated(MALFORMED),
            reasons: rows.iter().map(|row| Some(row.reason.as_str())).collect(),
            columns: repeated(""),
            sources: repeated(source),
            positions: rows.iter().map(|row| row.position).collect::<Vec<_>>().into(),
            rows: rows
                .iter()
                .any(|row| row.bytes.is_some())
                .then(|| rows.iter().map(|row| row.bytes.as_deref().map(json::bytes)).collect()),
            texts: Some(rows.iter().map(|row| Some(row.text.as_str())).collect()),
        })
    }

    fn batch(&self, parts: Parts) -> Result<RecordBatch, QualityError> {
        let len = parts.positions.len();
        let optional = |texts: Option<StringArray>| -> ArrayRef {
            texts.map_or_else(|| new_null_array(&DataType::Utf8, len), |texts| Arc::new(texts))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_value(self.now.0, len).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(self.run.as_str(), len))),
            Arc::new(Int64Array::from_value(self.epoch, len)),
            Arc::new(parts.checks),
            Arc::new(parts.reasons),
            Arc::new(parts.sources),
            Arc::new(parts.positions),
            Arc::new(parts.columns),
            optional(parts.rows),
            optional(parts.texts),
        ];
        RecordBatch::try_new(rejected_schema(), columns)
            .map_err(QualityError::arrow("gather the rejected rows"))
    }
}

struct Parts {
    checks: StringArray,
    reasons: StringArray,
    columns: StringArray,
    sources: StringArray,
    positions: Int64Array,
    rows: Option<StringArray>,
    texts: Option<StringArray>,
}
