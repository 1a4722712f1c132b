//! Every query of a corpus gives the same columns, types and rows as a table, as an incremental table that followed its
//! inputs, and as a query, and these are the columns that its analysis promised.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{common::DFSchema, datasource::MemTable, prelude::SessionContext};
use futures::TryStreamExt;
use millstream_project::SourceSpec;
use millstream_sql::{
    Analysis, At, Resolved, SessionOptions, SqlError, SqlSession, TableAnalysis, TableResolver, analyze,
    conform,
    incremental::{Change, InputChange, Inputs, Keep, Limits, Maintenance, Refresh, survivors},
    source_schema, storable_schema,
};
use millstream_types::{TableName, TimestampMicros};

use crate::support::{self, name};

/// A table's name, its number of rows, and its columns with their types and the SQL of their values. In the SQL, `v` is
/// the row's number, from 0.
type Table = (&'static str, i64, &'static [(&'static str, &'static str, &'static str)]);

const TABLES: &[Table] = &[
    ("region", 3, &[("r_regionkey", "int64", "v"), ("r_name", "string", "concat('REGION ', v)")]),
    (
        "nation",
        6,
        &[
            ("n_nationkey", "int64", "v"),
            ("n_name", "string", "concat('NATION ', v)"),
            ("n_regionkey", "int64", "v % 3"),
        ],
    ),
    (
        "supplier",
        8,
        &[
            ("s_suppkey", "int64", "v"),
            ("s_name", "string", "concat('Supplier ', v)"),
            ("s_nationkey", "int64", "v % 6"),
            ("s_acctbal", "decimal(15,2)", "v * 100 - 200"),
        ],
    ),
    (
        "part",
        12,
        &[
            ("p_partkey", "int64", "v"),
            ("p_name", "string", "concat('part ', v)"),
            ("p_mfgr", "string", "concat('Maker ', v % 3)"),
            ("p_brand", "string", "concat('Brand#', v % 4)"),
            ("p_type", "string", "CASE WHEN v % 2 = 0 THEN 'PROMO TIN' ELSE 'STEEL' END"),
            ("p_size", "int32", "v % 7"),
        ],
    ),
    (
        "partsupp",
        30,
        &[
            ("ps_partkey", "int64", "v % 12"),
            ("ps_suppkey", "int64", "v * 5 % 8"),
            ("ps_availqty", "int32", "v * 7 % 90"),
            ("ps_supplycost", "decimal(15,2)", "v % 13 + 0.25"),
        ],
    ),
    (
        "customer",
        10,
        &[
            ("c_custkey", "int64", "v"),
            ("c_name", "string", "concat('Customer ', v)"),
            ("c_nationkey", "int64", "v % 6"),
            ("c_phone", "string", "concat(10 + v % 4, '-555')"),
            ("c_acctbal", "decimal(15,2)", "v * 31 % 70 - 5"),
        ],
    ),
    (
        "orders",
        40,
        &[
            ("o_orderkey", "int64", "v"),
            ("o_custkey", "int64", "v * 3 % 9"),
            ("o_orderstatus", "string", "CASE WHEN v % 3 = 0 THEN 'F' ELSE 'O' END"),
            ("o_totalprice", "decimal(15,2)", "v * 17 % 101 + 0.5"),
            ("o_orderdate", "date", "arrow_cast(CAST(9000 + v * 31 AS int), 'Date32')"),
            ("o_orderpriority", "string", "CASE WHEN v % 4 = 0 THEN '1-URGENT' ELSE '5-LOW' END"),
            ("o_shippriority", "int32", "0"),
        ],
    ),
    (
        "lineitem",
        120,
        &[
            ("l_orderkey", "int64", "v / 3"),
            ("l_partkey", "int64", "v * 7 % 12"),
            ("l_suppkey", "int64", "v * 5 % 8"),
            ("l_linenumber", "int32", "v % 3 + 1"),
            ("l_quantity", "decimal(15,2)", "CASE WHEN v % 11 = 0 THEN NULL ELSE v * 13 % 50 + 1 END"),
            ("l_extendedprice", "decimal(15,2)", "v * 37 % 1000 + 0.75"),
            ("l_discount", "decimal(15,2)", "v % 10 * 0.01"),
            ("l_tax", "decimal(15,2)", "v % 8 * 0.01"),
            ("l_returnflag", "string", "CASE v % 3 WHEN 0 THEN 'A' WHEN 1 THEN 'N' ELSE 'R' END"),
            ("l_linestatus", "string", "CASE WHEN v % 2 = 0 THEN 'F' ELSE 'O' END"),
            ("l_shipdate", "date", "arrow_cast(CAST(9000 + v * 11 AS int), 'Date32')"),
            ("l_commitdate", "date", "arrow_cast(CAST(9000 + v * 11 + v % 5 AS int), 'Date32')"),
            ("l_receiptdate", "date", "arrow_cast(CAST(9000 + v * 11 + v % 4 AS int), 'Date32')"),
            ("l_shipmode", "string", "CASE WHEN v % 2 = 0 THEN 'AIR' ELSE 'MAIL' END"),
        ],
    ),
];

/// The rows of every source.
#[derive(Debug)]
struct World(BTreeMap<TableName, Arc<MemTable>>);

impl World {
    /// The rows of every source: all of them if `whole`, else without each fifth row.
    async fn new(sources: &[SourceSpec], whole: bool) -> Self {
        let context = SessionContext::new();
        let mut tables = BTreeMap::new();
        for ((table, rows, columns), source) in TABLES.iter().zip(sources) {
            let schema = source_schema(source);
            let own = columns.iter().map(|(name, _, sql)| format!("{sql} AS {name}"));
            let landing = schema.fields().iter().skip(columns.len());
            let landing = landing.map(|field| format!("NULL AS {}", field.name()));
            let sql = format!(
                "SELECT {} FROM (SELECT value AS v FROM generate_series(0, {})) WHERE {}",
                own.chain(landing).collect::<Vec<_>>().join(", "),
                rows - 1,
                if whole { "true" } else { "v % 5 <> 4" }
            );
            let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
            let batches = batches.iter().map(|batch| conform(batch, &schema).unwrap()).collect();
            let rows = MemTable::try_new(schema, vec![batches]).unwrap();
            tables.insert(name(&format!("bronze.{table}")), Arc::new(rows));
        }
        Self(tables)
    }
}

#[async_trait]
impl TableResolver for World {
    async fn resolve(&self, table: &TableName, _: At) -> Result<Option<Resolved>, SqlError> {
        Ok(self.0.get(table).map(|table| Resolved::Table(Arc::clone(table) as _)))
    }

    fn known_tables(&self) -> Vec<TableName> {
        self.0.keys().cloned().collect()
    }
}

fn sources() -> Vec<SourceSpec> {
    let columns = |columns: &[(&'static str, &'static str, &'static str)]| {
        columns.iter().map(|(name, column_type, _)| (*name, *column_type)).collect::<Vec<_>>()
    };
    TABLES.iter().map(|(table, _, all)| support::source(table, &columns(all))).collect()
}

/// The rows as text, in one order, in the columns of `schema`.
fn texts(batches: &[RecordBatch], schema: &SchemaRef) -> Vec<String> {
    let batches: Vec<_> = batches.iter().map(|batch| conform(batch, schema).unwrap()).collect();
    let text = support::pretty(&batches);
    let mut rows: Vec<String> =
        text.lines().filter(|line| line.starts_with('|')).skip(1).map(str::to_owned).collect();
    // Columns are padded to the widest value, which is the same for the same rows, so that whole lines can be compared.
    rows.sort();
    rows
}

/// The types in which a result would be stored.
fn stored(schema: &Schema) -> SchemaRef {
    storable_schema(&DFSchema::try_from(schema.clone()).unwrap()).unwrap()
}

/// The incremental table, built on the fewer rows and then brought to all rows.
async fn followed(
    session: &SqlSession,
    fewer: &World,
    all: &World,
    analysed: &TableAnalysis,
    key: &str,
) -> Vec<RecordBatch> {
    let plan = session.bind(&analysed.plan).await.unwrap();
    let keep = Keep::Merge { key: key.split(',').map(str::to_owned).collect() };
    let maintenance = Maintenance::new(&plan, keep).unwrap();
    let (runtime, mut before, mut change) = (session.runtime().as_ref(), Inputs::new(), Inputs::new());
    for (table, new) in &all.0 {
        let old = fewer.0.get(table).unwrap();
        before = before.with(&table.to_string(), InputChange::unchanged(old.clone()));
        let replaced = InputChange {
            old: old.clone(),
            new: new.clone(),
            added: Some(new.clone()),
            removed: Some(old.clone()),
        };
        change = change.with(&table.to_string(), replaced);
    }
    let now = TimestampMicros(0);
    let kept: Vec<_> = maintenance.build(runtime, &before, now).await.unwrap().try_collect().await.unwrap();
    let existing = Arc::new(MemTable::try_new(maintenance.schema(), vec![kept.clone()]).unwrap());
    let refresh = Refresh {
        runtime,
        inputs: &change,
        existing: existing.clone(),
        some_kept_out: false,
        limits: Limits::default(),
        now,
        everything: false,
    };
    match maintenance.refresh(&refresh).await.unwrap() {
        Change::Nothing => kept,
        Change::Everything { rows } => rows.stream().unwrap().try_collect().await.unwrap(),
        Change::Replace { keys, rows, .. } => {
            let stay = survivors(runtime, &maintenance, existing, &keys).await.unwrap();
            let mut after: Vec<_> = stay.try_collect().await.unwrap();
            after.extend(rows.stream().unwrap().try_collect::<Vec<_>>().await.unwrap());
            after
        }
        other => panic!("a merge does not change by {other:?}"),
    }
}

async fn check(
    analysis: &Analysis,
    fewer: &World,
    session: &SqlSession,
    all: &World,
    header: &str,
    sql: &str,
) {
    let (called, key) = header.split_once(" key=").map_or((header, None), |(name, key)| (name, Some(key)));
    let analysed = analysis.tables.get(&name(&format!("gold.{called}"))).unwrap();
    let promised = &analysed.stored_schema;
    let rows = session.query(sql, None).await.unwrap_or_else(|error| panic!("{called}: {error}"));
    let answered = stored(&rows.schema());
    let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap_or_else(|error| panic!("{called}: {error}"));
    assert_eq!(support::describe(&answered), support::describe(promised), "{called}");
    let expected = texts(&rows, promised);
    assert!(!expected.is_empty(), "{called} gives no rows, so it shows nothing");

    let table = session.table_stream(analysed).await.unwrap();
    let table: Vec<_> = table.try_collect().await.unwrap_or_else(|error| panic!("{called}: {error}"));
    assert_eq!(texts(&table, promised), expected, "{called} as a stream");

    let plan = session.bind(&analysed.plan).await.unwrap();
    let maintenance = Maintenance::new(&plan, Keep::Whole).unwrap();
    let built =
        maintenance.build(session.runtime().as_ref(), &Inputs::new(), TimestampMicros(0)).await.unwrap();
    assert_eq!(stored(&built.schema()), *promised, "{called} as a table");
    let built: Vec<_> = built.try_collect().await.unwrap_or_else(|error| panic!("{called}: {error}"));
    assert_eq!(texts(&built, promised), expected, "{called} as a table");

    if let Some(key) = key {
        let rows = followed(session, fewer, all, analysed, key).await;
        assert_eq!(texts(&rows, promised), expected, "{called} as an incremental table");
    }
}

#[tokio::test]
async fn a_query_is_the_same_in_every_form() {
    let corpus = include_str!("corpus.sql");
    let cases: Vec<(&str, &str)> =
        corpus.split("--- ").skip(1).map(|case| case.split_once('\n').unwrap()).collect();
    let tables: String = cases
        .iter()
        .map(|(header, sql)| format!("--- gold.{}\n{sql}", header.split(' ').next().unwrap()))
        .collect();
    let (sources, tables) = (sources(), support::tables(&tables));
    let analysis = analyze(&sources, &tables);
    assert!(analysis.diagnostics.is_empty(), "{}", support::render(&analysis.diagnostics, &tables));
    let (fewer, all) = (World::new(&sources, false).await, Arc::new(World::new(&sources, true).await));
    let folder = tempfile::tempdir().unwrap();
    for target_partitions in [1, 4] {
        let options = SessionOptions {
            memory_bytes: 256 << 20,
            spill_dir: folder.path().to_owned(),
            target_partitions,
        };
        let session = SqlSession::open(options, all.clone()).unwrap();
        for (header, sql) in &cases {
            check(&analysis, &fewer, &session, &all, header, sql.trim()).await;
        }
    }
}
