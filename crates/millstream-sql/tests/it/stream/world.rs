//! Events that come in any order and any batches, a pipeline that takes them in, and the same SQL over all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    compute::concat_batches,
    datatypes::{DataType, Float64Type, SchemaRef},
    util::display::array_value_to_string,
};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use futures::TryStreamExt;
use millstream_project::{Materialize, SourceSpec, TableSpec};
use millstream_sql::{
    Analysis, At, Resolved, SessionOptions, SqlError, SqlSession, TableResolver, analyze_streams, conform,
    source_schema,
    stream::{LookupRows, LookupTable, StreamParts, StreamPipeline, StreamPlan},
};
use millstream_stream::{Output, Pipeline};
use millstream_types::{SourceName, TableName};
use proptest::prelude::*;

use crate::support::{self, located, name};

/// How far behind the newest row of a source a row may come.
pub(super) const DISORDER_MS: i64 = 5_000;

/// The events of `bronze.clicks` and `bronze.payments`, which come through the log, and `bronze.users`, which does not.
pub(super) fn sources() -> Vec<SourceSpec> {
    let mut clicks = support::source(
        "clicks",
        &[
            ("click_id", "int64"),
            ("account", "int64"),
            ("page", "string"),
            ("cost", "decimal(12,2)"),
            ("weight", "float64"),
            ("at", "timestamp"),
        ],
    );
    clicks.contract.time = Some(located("at".into()));
    let mut payments = support::source(
        "payments",
        &[("account", "int64"), ("amount", "decimal(12,2)"), ("method", "string"), ("paid_at", "timestamp")],
    );
    payments.contract.time = Some(located("paid_at".into()));
    let users = support::source("users", &[("user_id", "int64"), ("country", "string"), ("level", "int32")]);
    vec![clicks, payments, users]
}

pub(super) fn streaming() -> BTreeSet<SourceName> {
    ["clicks", "payments"].map(|name| SourceName::new(name).unwrap()).into()
}

pub(super) struct World {
    pub(super) sources: Vec<SourceSpec>,
    pub(super) tables: Vec<TableSpec>,
    pub(super) analysis: Analysis,
}

pub(super) fn world(text: &str) -> World {
    let (sources, tables) = (sources(), support::tables(text));
    let analysis = analyze_streams(&sources, &tables, &streaming());
    World { sources, tables, analysis }
}

impl World {
    /// A world without problems.
    pub(super) fn sound(text: &str) -> Self {
        let world = world(text);
        assert!(
            world.analysis.diagnostics.is_empty(),
            "{text}\n{}",
            support::render(&world.analysis.diagnostics, &world.tables)
        );
        world
    }

    pub(super) fn plan(&self, table: &str) -> &StreamPlan {
        &self.analysis.streams[&name(table)]
    }
}

/// One event of either source.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) account: Option<i64>,
    pub(super) word: Option<&'static str>,
    pub(super) cents: i64,
    pub(super) weight: Option<f64>,
    pub(super) at_ms: i64,
    /// By how much later than in order it comes.
    pub(super) delay_ms: i64,
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let word = prop::option::weighted(0.9, prop::sample::select(vec!["a", "b", "c", ""]));
    let weight = prop::option::weighted(
        0.9,
        prop_oneof![9 => (0_i32..40).prop_map(|quarters| f64::from(quarters) / 4.0), 1 => Just(f64::NAN)],
    );
    // Instants on the second are where windows meet.
    let at = prop_oneof![(0_i64..120).prop_map(|second| second * 1_000), 0_i64..120_000];
    let event = (prop::option::weighted(0.9, 0_i64..4), word, -500_i64..5_000, weight, at, 0..DISORDER_MS);
    let event = event.prop_map(|(account, word, cents, weight, at_ms, delay_ms)| Event {
        account,
        word,
        cents,
        weight,
        at_ms,
        delay_ms,
    });
    prop::collection::vec(event, 0..60)
}

fn arrived(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.at_ms + event.delay_ms);
    events
}

fn decimals(values: impl Iterator<Item = i64>) -> ArrayRef {
    let cents: Decimal128Array = values.map(|cents| Some(i128::from(cents))).collect();
    Arc::new(cents.with_precision_and_scale(12, 2).unwrap())
}

fn times(events: &[Event]) -> ArrayRef {
    let times = events.iter().map(|event| event.at_ms * 1_000);
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

/// The rows of a source, in the order in which they come.
fn rows(source: &SourceSpec, events: &[Event]) -> RecordBatch {
    let events = arrived(events);
    let users: ArrayRef = Arc::new(events.iter().map(|event| event.account).collect::<Int64Array>());
    let words: ArrayRef = Arc::new(events.iter().map(|event| event.word).collect::<StringArray>());
    let cents = decimals(events.iter().map(|event| event.cents));
    let columns: BTreeMap<&str, ArrayRef> = match source.name.as_str() {
        "clicks" => {
            let ids = events.iter().map(|event| event.cents.rem_euclid(7)).collect::<Int64Array>();
            let weights = events.iter().map(|event| event.weight).collect::<Float64Array>();
            BTreeMap::from([
                ("click_id", Arc::new(ids) as ArrayRef),
                ("account", users),
                ("page", words),
                ("cost", cents),
                ("weight", Arc::new(weights)),
                ("at", times(&events)),
            ])
        }
        _ => BTreeMap::from([
            ("account", users),
            ("amount", cents),
            ("method", words),
            ("paid_at", times(&events)),
        ]),
    };
    let schema = source_schema(source);
    let columns = schema.fields().iter().map(|field| {
        let column = columns.get(field.name().as_str()).map(Arc::clone);
        column.unwrap_or_else(|| arrow::array::new_null_array(field.data_type(), events.len()))
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

pub(super) fn users(source: &SourceSpec) -> RecordBatch {
    let schema = source_schema(source);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(3), None]));
    let countries: ArrayRef = Arc::new(StringArray::from(vec![Some("DE"), None, Some("FR"), Some("IT")]));
    let levels: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![Some(1), Some(2), None, Some(4)]));
    let mut columns = vec![ids, countries, levels];
    columns.extend(
        schema.fields().iter().skip(3).map(|field| arrow::array::new_null_array(field.data_type(), 4)),
    );
    RecordBatch::try_new(schema, columns).unwrap()
}

#[derive(Debug)]
struct Fixed(Vec<Arc<LookupTable>>);

impl LookupRows for Fixed {
    fn rows(&self, lookup: usize) -> Option<Arc<LookupTable>> {
        self.0.get(lookup).map(Arc::clone)
    }
}

/// How events come: how many rows a batch has, in turns, and after how many batches the pipeline is built anew from its state.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) sizes: Vec<usize>,
    pub(super) partitions: u32,
    pub(super) restart_after: Option<usize>,
}

pub(super) fn arrivals() -> impl Strategy<Value = Arrival> {
    (prop::collection::vec(1_usize..20, 1..6), 1_u32..4, prop::option::of(0_usize..8))
        .prop_map(|(sizes, partitions, restart_after)| Arrival { sizes, partitions, restart_after })
}

impl World {
    fn source(&self, named: &SourceName) -> &SourceSpec {
        self.sources.iter().find(|source| source.name == *named).unwrap()
    }

    fn built(&self, plan: &StreamPlan, lake: &Lake, partitions: u32) -> StreamPipeline {
        let lookups = plan.lookups().iter().map(|lookup| {
            let rows = lake.0.lock().unwrap()[&lookup.table].clone();
            Arc::new(lookup.table(&[rows]).unwrap())
        });
        let lookups = Arc::new(Fixed(lookups.collect()));
        let parts = StreamParts { partitions: &|_| partitions, lookups, checks: &|_| None };
        plan.pipeline(&parts).unwrap()
    }

    /// What the pipeline of a table makes of the events.
    pub(super) fn streamed(
        &self,
        table: &str,
        events: &HashMap<&str, Vec<Event>>,
        arrival: &Arrival,
        lake: &Lake,
    ) -> Vec<String> {
        let plan = self.plan(table);
        let mut pipeline = self.built(plan, lake, arrival.partitions);
        let mut open: Vec<(usize, RecordBatch)> = Vec::new();
        for (at, input) in plan.inputs().iter().enumerate() {
            let all = rows(self.source(&input.source), &events[input.source.as_str()]);
            open.push((at, input.project(&all).unwrap()));
        }
        let mut table = Table {
            key: plan.key().to_vec(),
            schema: Arc::clone(plan.schema()),
            rows: Vec::new(),
            merged: BTreeMap::new(),
        };
        let mut sizes = arrival.sizes.iter().cycle();
        let mut pushed = 0;
        while !open.is_empty() {
            open.retain_mut(|(at, rest)| {
                let size = (*sizes.next().unwrap()).min(rest.num_rows());
                let batch = rest.slice(0, size);
                *rest = rest.slice(size, rest.num_rows() - size);
                let partition = u32::try_from(pushed).unwrap() % arrival.partitions;
                pipeline.pipeline.push(pipeline.sources[*at], partition, 0, batch).unwrap();
                table.take(&mut pipeline.pipeline);
                pushed += 1;
                if Some(pushed) == arrival.restart_after {
                    let state = pipeline.pipeline.snapshot().unwrap();
                    pipeline = self.built(plan, lake, arrival.partitions);
                    pipeline.pipeline.restore(&state).unwrap();
                }
                rest.num_rows() > 0
            });
        }
        pipeline.pipeline.end().unwrap();
        table.take(&mut pipeline.pipeline);
        table.lines()
    }

    /// What SQL makes of all events, for a table and those that it reads.
    pub(super) async fn queried(
        &self,
        table: &str,
        events: &HashMap<&str, Vec<Event>>,
    ) -> (Vec<String>, Lake) {
        let lake = Lake::default();
        for source in &self.sources {
            let rows = match events.get(source.name.as_str()) {
                Some(events) => rows(source, events),
                None => users(source),
            };
            lake.0.lock().unwrap().insert(source.table(), rows);
        }
        let resolver = Resolver { lake: lake.clone(), views: views(&self.tables) };
        let options = SessionOptions {
            memory_bytes: 100 << 20,
            spill_dir: std::env::temp_dir().join("millstream-sql-tests"),
            target_partitions: 2,
        };
        let session = SqlSession::open(options, Arc::new(resolver)).unwrap();
        for analysed in self.analysis.tables.values() {
            let stream = session.table_stream(analysed).await.unwrap();
            let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
            let rows = concat_batches(&analysed.schema, &batches).unwrap();
            lake.0.lock().unwrap().insert(analysed.name.clone(), rows);
        }
        let rows = lake.0.lock().unwrap()[&name(table)].clone();
        (lines(&rows), lake)
    }
}

fn views(tables: &[TableSpec]) -> HashMap<TableName, String> {
    let views = tables.iter().filter(|table| matches!(table.materialize, Materialize::View));
    views.map(|view| (view.name.clone(), view.sql.value.clone())).collect()
}

/// The rows of every table.
#[derive(Clone, Debug, Default)]
pub(super) struct Lake(Arc<Mutex<HashMap<TableName, RecordBatch>>>);

#[derive(Debug)]
struct Resolver {
    lake: Lake,
    views: HashMap<TableName, String>,
}

#[async_trait]
impl TableResolver for Resolver {
    async fn resolve(&self, table: &TableName, _: At) -> Result<Option<Resolved>, SqlError> {
        if let Some(sql) = self.views.get(table) {
            return Ok(Some(Resolved::View { sql: sql.clone() }));
        }
        let rows = self.lake.0.lock().unwrap().get(table).cloned();
        Ok(rows.map(|rows| {
            Resolved::Table(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap()))
        }))
    }

    fn known_tables(&self) -> Vec<TableName> {
        self.lake.0.lock().unwrap().keys().cloned().collect()
    }
}

/// A table that takes in what a pipeline tells.
struct Table {
    key: Vec<String>,
    schema: SchemaRef,
    rows: Vec<String>,
    merged: BTreeMap<String, Vec<String>>,
}

impl Table {
    fn take(&mut self, pipeline: &mut Pipeline) {
        while let Some(output) = pipeline.next_output().unwrap() {
            match output {
                Output::Rows(rows) | Output::Merge(rows) => {
                    let stored = conform(&rows, &self.schema).unwrap();
                    assert_eq!(names(&rows), names(&stored));
                    if self.key.is_empty() {
                        self.rows.extend(lines(&stored));
                        continue;
                    }
                    for row in 0..stored.num_rows() {
                        let row = stored.slice(row, 1);
                        self.merged.insert(self.key_of(&row), lines(&row));
                    }
                }
                Output::Delete(keys) => {
                    for row in 0..keys.num_rows() {
                        let key = self.key_of(&keys.slice(row, 1));
                        self.merged.remove(&key);
                    }
                }
                Output::Refused(refused) => panic!("{refused:?}"),
                Output::Watermark(_) => {}
            }
        }
    }

    fn key_of(&self, row: &RecordBatch) -> String {
        let values = self.key.iter().map(|name| value(row.column_by_name(name).unwrap(), 0));
        values.collect::<Vec<_>>().join("|")
    }

    fn lines(mut self) -> Vec<String> {
        self.rows.extend(self.merged.into_values().flatten());
        self.rows.sort();
        self.rows
    }
}

fn names(rows: &RecordBatch) -> Vec<String> {
    rows.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// Rows as sorted lines. Floats are shown with the digits that no order of additions changes.
fn lines(rows: &RecordBatch) -> Vec<String> {
    let line = |row: usize| {
        let values = rows.columns().iter().map(|column| value(column, row));
        values.collect::<Vec<_>>().join(" | ")
    };
    let mut lines: Vec<String> = (0..rows.num_rows()).map(line).collect();
    lines.sort();
    lines
}

fn value(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".into();
    }
    match column.data_type() {
        DataType::Float64 => format!("{:.9e}", column.as_primitive::<Float64Type>().value(row)),
        _ => array_value_to_string(column, row).unwrap(),
    }
}
