//! Results that were told and are not committed yet.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use millstream_stream::{Output, Refused};
use millstream_types::{TableName, TimestampMicros};

use super::live::LiveTable;
use crate::EngineError;

/// Results are committed as soon as they take so many bytes, whatever else the table says.
const BYTES_MAX: usize = 64 << 20;

/// Results in the order in which they were told.
#[derive(Debug)]
pub(super) struct Buffer {
    table: TableName,
    schema: SchemaRef,
    /// Results that were told, which queries see too.
    live: Arc<LiveTable>,
    rows: u64,
    bytes: usize,
    /// Rows that took no part.
    pub refused: Vec<Refused>,
    /// When the first row was taken in of which nothing is committed yet.
    pub since: Option<TimestampMicros>,
}

/// Results that belong together.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// Rows that are new, or take the place of those with their key.
    Rows(RecordBatch),
    /// Keys that are part of the result no more.
    Gone(RecordBatch),
}

/// The columns by which rows take the place of others.
#[derive(Debug)]
pub(super) struct Key {
    pub names: Vec<String>,
    converter: RowConverter,
}

/// What a buffer comes to: each key once.
#[derive(Debug, Default)]
pub(super) struct Net {
    /// The rows that are there from now on.
    pub rows: Vec<RecordBatch>,
    /// The keys of those rows and of rows that go; `None` where rows are only added.
    pub keys: Option<Keys>,
}

/// Keys of rows.
#[derive(Debug)]
pub(super) struct Keys {
    pub key: Arc<Key>,
    pub encoded: std::collections::HashSet<Box<[u8]>>,
    /// The key's columns, of every row that was told.
    pub columns: Vec<RecordBatch>,
}

impl Key {
    pub(super) fn of(schema: &SchemaRef, names: &[String], table: &TableName) -> Result<Self, EngineError> {
        let fields = names.iter().map(|name| {
            let field = schema.field_with_name(name).map_err(|source| compute(table, source))?;
            Ok(SortField::new(field.data_type().clone()))
        });
        let fields = fields.collect::<Result<Vec<_>, EngineError>>()?;
        let converter = RowConverter::new(fields).map_err(|source| compute(table, source))?;
        Ok(Self { names: names.to_vec(), converter })
    }

    /// The key's columns of a batch that has them by their names.
    pub(super) fn columns(&self, batch: &RecordBatch, table: &TableName) -> Result<RecordBatch, EngineError> {
        let schema = batch.schema();
        let places = self.names.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
        places.and_then(|places| batch.project(&places)).map_err(|source| compute(table, source))
    }

    /// The keys of the rows of [`Self::columns`], as bytes that are equal for equal keys.
    pub(super) fn encode(
        &self,
        columns: &RecordBatch,
        table: &TableName,
    ) -> Result<Vec<Box<[u8]>>, EngineError> {
        let rows =
            self.converter.convert_columns(columns.columns()).map_err(|source| compute(table, source))?;
        Ok(rows.iter().map(|row| Box::from(row.data())).collect())
    }
}

impl Buffer {
    pub(super) fn new(live: Arc<LiveTable>) -> Self {
        let (table, schema) = (live.table.clone(), live.schema.clone());
        Self { table, schema, live, rows: 0, bytes: 0, refused: Vec::new(), since: None }
    }

    /// Takes in what the pipeline has told; gives a watermark back.
    pub(super) fn take(&mut self, output: Output) -> Result<Option<i64>, EngineError> {
        match output {
            Output::Rows(rows) | Output::Merge(rows) => {
                let rows = millstream_sql::conform(&rows, &self.schema)
                    .map_err(|source| compute(&self.table, source))?;
                self.count(&rows);
                self.live.told.push(Told::Rows(rows));
            }
            Output::Delete(keys) => {
                let keys = self.stored(&keys)?;
                self.count(&keys);
                self.live.told.push(Told::Gone(keys));
            }
            Output::Refused(refused) => {
                self.bytes += refused.rows.get_array_memory_size();
                self.refused.push(refused);
            }
            Output::Watermark(watermark) => return Ok(Some(watermark)),
        }
        Ok(None)
    }

    /// Some columns of the table in the types in which it stores them.
    fn stored(&self, columns: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let named = columns.schema_ref().fields().iter();
        let fields = named.map(|field| self.schema.field_with_name(field.name()).cloned());
        let schema = fields.collect::<Result<Vec<_>, _>>().map(|fields| Arc::new(Schema::new(fields)));
        schema
            .and_then(|schema| millstream_sql::conform(columns, &schema))
            .map_err(|source| compute(&self.table, source))
    }

    fn count(&mut self, rows: &RecordBatch) {
        self.rows += rows.num_rows() as u64;
        self.bytes += rows.get_array_memory_size();
    }

    /// Whether nothing came of what was taken in.
    pub(super) fn is_empty(&self) -> bool {
        self.live.told.is_empty() && self.refused.is_empty()
    }

    /// The columns by which rows take the place of others.
    pub(super) fn key(&self) -> &[String] {
        &self.live.key
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    /// Forgets what is committed in this version of the table.
    pub(super) fn clear(&mut self, version: i64) {
        self.live.told.committed(Some(version));
        self.refused.clear();
        (self.rows, self.bytes, self.since) = (0, 0, None);
    }

    /// What the results come to.
    pub(super) fn net(&self) -> Result<Net, EngineError> {
        let LiveTable { table, schema, key, told, .. } = self.live.as_ref();
        let key = (!key.is_empty()).then(|| Key::of(schema, key, table)).transpose()?;
        Net::of(table, schema, key.as_ref(), &told.all())
    }
}

impl Net {
    /// What results come to that were told in this order. With a key, each key is there once.
    pub(super) fn of(
        table: &TableName,
        schema: &SchemaRef,
        key: Option<&Key>,
        told: &[Told],
    ) -> Result<Self, EngineError> {
        let Some(key) = key else {
            let rows = told.iter().map(|told| match told {
                Told::Rows(rows) => Ok(rows.clone()),
                Told::Gone(_) => Err(EngineError::Worker { doing: "deleting rows of a table without a key" }),
            });
            return Ok(Self { rows: rows.collect::<Result<_, _>>()?, keys: None });
        };
        let mut newest: HashMap<Box<[u8]>, Option<(usize, u32)>> = HashMap::new();
        let (mut batches, mut columns) = (Vec::new(), Vec::new());
        for told in told {
            let (rows, is_put) = match told {
                Told::Rows(rows) => (rows, true),
                Told::Gone(keys) => (keys, false),
            };
            let of_key = key.columns(rows, table)?;
            for (row, encoded) in (0_u32..).zip(key.encode(&of_key, table)?) {
                newest.insert(encoded, is_put.then_some((batches.len(), row)));
            }
            columns.push(of_key);
            if is_put {
                batches.push(rows.clone());
            }
        }
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); batches.len()];
        for (batch, row) in newest.values().flatten() {
            if let Some(places) = places.get_mut(*batch) {
                places.push(*row);
            }
        }
        let rows =
            batches.iter().zip(places).filter(|(_, rows)| !rows.is_empty()).map(|(batch, mut rows)| {
                rows.sort_unstable();
                take_record_batch(batch, &UInt32Array::from(rows)).map_err(|source| compute(table, source))
            });
        let rows = rows.collect::<Result<_, _>>()?;
        let key = Arc::new(Key::of(schema, &key.names, table)?);
        Ok(Self { rows, keys: Some(Keys { key, encoded: newest.into_keys().collect(), columns }) })
    }
}

impl Keys {
    /// The key's columns of all rows that were told, in one batch; `None` without any.
    pub(super) fn batch(&self, table: &TableName) -> Result<Option<RecordBatch>, EngineError> {
        let Some(first) = self.columns.first() else { return Ok(None) };
        let all = concat_batches(&first.schema(), &self.columns);
        all.map(Some).map_err(|source| compute(table, source))
    }
}

pub(super) fn compute(table: &TableName, source: arrow::error::ArrowError) -> EngineError {
    EngineError::Compute { table: table.clone(), source }
}
