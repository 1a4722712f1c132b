//! Small random tables that change step by step, and a table that is maintained from them.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    catalog::{MemorySchemaProvider, TableProvider},
    datasource::MemTable,
    execution::SendableRecordBatchStream,
    logical_expr::LogicalPlan,
    prelude::{SessionConfig, SessionContext},
};
use futures::TryStreamExt;
use millstream_query::LocalRuntime;
use millstream_sql::incremental::{
    Change, IncrementalError, InputChange, Inputs, Limits, Maintenance, Refresh, check_keys, survivors,
};
use millstream_types::TimestampMicros;

pub(crate) const DAY: i64 = 86_400_000_000;
/// The instant 2024-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_704_067_200_000_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
    Time(Option<i64>),
}

pub(crate) type Row = Vec<Cell>;

/// A generator of numbers that gives the same on each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from((self.0 >> 11) % end).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    fn pick(&mut self, words: &[&str]) -> Option<String> {
        let at = usize::try_from(self.below(words.len() as u64)).unwrap();
        Some(words[at].to_owned())
    }
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn schema_of(table: &str) -> SchemaRef {
    let fields: &[(&str, DataType)] = match table {
        "bronze.orders" => &[
            ("order_id", DataType::Int64),
            ("customer_id", DataType::Int64),
            ("amount", DataType::Int64),
            ("status", DataType::Utf8),
            ("ordered_at", time()),
        ],
        "bronze.customers" => {
            &[("customer_id", DataType::Int64), ("name", DataType::Utf8), ("country", DataType::Utf8)]
        }
        _ => &[
            ("event_id", DataType::Int64),
            ("order_id", DataType::Int64),
            ("kind", DataType::Utf8),
            ("at", time()),
        ],
    };
    Arc::new(Schema::new(
        fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>(),
    ))
}

pub(crate) const TABLES: [&str; 3] = ["bronze.orders", "bronze.customers", "bronze.events"];

fn random_row(table: &str, id: i64, dice: &mut Dice) -> Row {
    match table {
        "bronze.orders" => vec![
            Cell::Int(Some(id)),
            Cell::Int((!dice.chance(15)).then(|| dice.below(6))),
            Cell::Int((!dice.chance(10)).then(|| dice.below(5) * 10)),
            Cell::Text(dice.pick(&["paid", "open", "test"])),
            Cell::Time((!dice.chance(5)).then(|| START + dice.below(60) * DAY / 2 + dice.below(1000))),
        ],
        "bronze.customers" => vec![
            Cell::Int(Some(id)),
            Cell::Text(dice.pick(&["ann", "bob", "cid"])),
            Cell::Text(if dice.chance(20) { None } else { dice.pick(&["de", "fr"]) }),
        ],
        _ => vec![
            Cell::Int(Some(id)),
            Cell::Int((!dice.chance(10)).then(|| dice.below(12))),
            Cell::Text(dice.pick(&["view", "buy", "view,buy", ""])),
            Cell::Time(Some(START + dice.below(4) * DAY)),
        ],
    }
}

/// How many ids a table draws from: few, so that rows come back, and keys of other tables find them.
fn ids(table: &str) -> u64 {
    match table {
        "bronze.orders" => 12,
        "bronze.customers" => 6,
        _ => 20,
    }
}

/// The three inputs at one version: one row per id.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(pub(crate) BTreeMap<&'static str, Vec<Row>>);

impl World {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let mut world = Self::default();
        for table in TABLES {
            let mut rows = Vec::new();
            for id in 0..i64::try_from(ids(table)).unwrap() {
                if dice.chance(60) {
                    rows.push(random_row(table, id, dice));
                }
            }
            world.0.insert(table, rows);
        }
        world
    }

    /// Inserts, deletes and updates on some of the tables.
    pub(crate) fn step(&self, dice: &mut Dice, only_added: bool) -> Self {
        let mut next = self.clone();
        for table in TABLES {
            if dice.chance(40) {
                continue;
            }
            let rows = next.0.get_mut(table).unwrap();
            for _ in 0..=dice.below(3) {
                let id = dice.below(ids(table));
                let at = rows.iter().position(|row| row[0] == Cell::Int(Some(id)));
                match at {
                    Some(_) if only_added => {}
                    Some(at) if dice.chance(40) => drop(rows.remove(at)),
                    Some(at) => {
                        let other = random_row(table, id, dice);
                        let column = 1 + usize::try_from(dice.below(other.len() as u64 - 1)).unwrap();
                        rows[at][column] = other[column].clone();
                    }
                    None => rows.push(random_row(table, id, dice)),
                }
            }
        }
        next
    }
}

pub(crate) fn batch(schema: &SchemaRef, rows: &[Row]) -> RecordBatch {
    let columns = (0..schema.fields().len())
        .map(|at| -> ArrayRef {
            let cells = rows.iter().map(|row| &row[at]);
            match schema.field(at).data_type() {
                DataType::Int64 => Arc::new(
                    cells.map(|cell| if let Cell::Int(v) = cell { *v } else { None }).collect::<Int64Array>(),
                ),
                DataType::Utf8 => Arc::new(
                    cells
                        .map(|cell| if let Cell::Text(v) = cell { v.clone() } else { None })
                        .collect::<StringArray>(),
                ),
                _ => Arc::new(
                    cells
                        .map(|cell| if let Cell::Time(v) = cell { *v } else { None })
                        .collect::<TimestampMicrosecondArray>()
                        .with_timezone("UTC"),
                ),
            }
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

pub(crate) fn provider(schema: &SchemaRef, rows: &[Row]) -> Arc<dyn TableProvider> {
    // There are several batches, so that rows of one key do not all come together.
    let batches = rows.chunks(3).map(|rows| batch(schema, rows)).collect();
    Arc::new(MemTable::try_new(Arc::clone(schema), vec![batches]).unwrap())
}

/// The inputs from `old` to `new`; with `rewrite`, unchanged rows stand on both sides, as those of rewritten files do.
pub(crate) fn inputs(old: &World, new: &World, dice: &mut Dice, rewrite: bool) -> Inputs {
    let mut inputs = Inputs::new();
    for table in TABLES {
        let schema = schema_of(table);
        let (before, after) = (&old.0[table], &new.0[table]);
        let mut removed = before.clone();
        let mut added = Vec::new();
        for row in after {
            match removed.iter().position(|other| other == row) {
                Some(at) => drop(removed.remove(at)),
                None => added.push(row.clone()),
            }
        }
        if rewrite && !(removed.is_empty() && added.is_empty()) {
            for row in before.iter().filter(|row| after.contains(row)) {
                if dice.chance(30) {
                    removed.push(row.clone());
                    added.push(row.clone());
                }
            }
        }
        let side = |rows: &[Row]| (!rows.is_empty()).then(|| provider(&schema, rows));
        let change = InputChange {
            old: provider(&schema, before),
            new: provider(&schema, after),
            added: side(&added),
            removed: side(&removed),
        };
        inputs = inputs.with(table, change);
    }
    inputs
}

pub(crate) fn session() -> SessionContext {
    let session =
        SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2).with_batch_size(4));
    let bronze = Arc::new(MemorySchemaProvider::new());
    session.catalog("datafusion").unwrap().register_schema("bronze", bronze).unwrap();
    for table in TABLES {
        session.register_table(table, provider(&schema_of(table), &[])).unwrap();
    }
    session
}

/// Where the session's plans are executed.
pub(crate) fn runtime(session: &SessionContext) -> LocalRuntime {
    LocalRuntime::new(session.state(), Vec::new())
}

pub(crate) async fn plan(session: &SessionContext, sql: &str) -> LogicalPlan {
    let state = session.state();
    let plan = state.create_logical_plan(sql).await.unwrap();
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap()
}

/// A maintained table: its rows, and every row as text.
pub(crate) struct Kept {
    pub(crate) maintenance: Maintenance,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Kept {
    pub(crate) fn provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(MemTable::try_new(self.maintenance.schema(), vec![self.batches.clone()]).unwrap())
    }

    pub(crate) async fn build(
        session: &SessionContext,
        maintenance: &Maintenance,
        inputs: &Inputs,
        now: i64,
    ) -> Result<Self, IncrementalError> {
        let stream = maintenance.build(&runtime(session), inputs, TimestampMicros(now)).await?;
        let batches = collect(stream).await?;
        let kept = Self { maintenance: maintenance.clone(), batches };
        check_keys(&runtime(session), maintenance, kept.provider()).await?;
        Ok(kept)
    }

    pub(crate) async fn change(
        &self,
        session: &SessionContext,
        inputs: &Inputs,
        now: i64,
        everything: bool,
    ) -> Result<Change, IncrementalError> {
        self.limited(session, inputs, now, everything, 1_000).await
    }

    pub(crate) async fn limited(
        &self,
        session: &SessionContext,
        inputs: &Inputs,
        now: i64,
        everything: bool,
        keys: usize,
    ) -> Result<Change, IncrementalError> {
        // The budget is small, so that rows lie in memory and in a file.
        let limits = Limits { keys, spool_bytes: 2_000 };
        let runtime = runtime(session);
        let refresh = Refresh {
            runtime: &runtime,
            inputs,
            existing: self.provider(),
            some_kept_out: false,
            limits,
            now: TimestampMicros(now),
            everything,
        };
        self.maintenance.refresh(&refresh).await
    }

    pub(crate) async fn apply(
        &mut self,
        session: &SessionContext,
        change: Change,
    ) -> Result<(), IncrementalError> {
        self.batches = match change {
            Change::Nothing => return Ok(()),
            Change::Add { rows } => {
                let mut all = self.batches.clone();
                all.extend(collect(rows).await?);
                all
            }
            Change::AddAndRemove { rows, removal } => {
                let mut all = collect(removal.survivors(&runtime(session), self.provider()).await?).await?;
                all.extend(collect(rows.stream().unwrap()).await?);
                all
            }
            Change::Replace { keys, rows, .. } => {
                let mut all =
                    collect(survivors(&runtime(session), &self.maintenance, self.provider(), &keys).await?)
                        .await?;
                all.extend(collect(rows.stream().unwrap()).await?);
                all
            }
            Change::Everything { rows } => collect(rows.stream().unwrap()).await?,
        };
        Ok(())
    }

    pub(crate) fn rows(&self) -> Vec<String> {
        texts(&self.batches)
    }
}

pub(crate) async fn collect(stream: SendableRecordBatchStream) -> Result<Vec<RecordBatch>, IncrementalError> {
    stream.try_collect().await.map_err(|error| match error {
        datafusion::error::DataFusionError::External(inner) => *inner.downcast::<IncrementalError>().unwrap(),
        other => panic!("{other}"),
    })
}

/// Every row as text, sorted.
pub(crate) fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "),
            );
        }
    }
    rows.sort();
    rows
}
