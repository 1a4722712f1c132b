//! Measures the contract pass: `cargo run --release -p millstream-quality --example contract`.
//!
//! Prints the median of several runs: ten checks on a typed million of rows with two threads, and a text batch
//! of five million rows coerced and checked on one thread, in core-seconds.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::disallowed_types
)]

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{
        ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    datatypes::SchemaRef,
};
use datafusion::{datasource::MemTable, prelude::SessionContext};
use millstream_connector::Positions;
use millstream_project::{
    Bounds, CheckKind, CheckSpec, FileId, Located, Location, NamedPattern, Pattern, Scalar,
};
use millstream_quality::{
    Contract, ContractColumn, ContractOptions, RejectedRows, Relations, Sources, Tally, UniqueIndex,
    VersionBefore, evaluate_table_checks,
};
use millstream_query::LocalRuntime;
use millstream_types::{CheckId, RunId, Severity, TimestampMicros};

const BATCH: usize = 65_536;
const RUNS: usize = 7;

fn main() {
    typed();
    text();
    unique();
}

fn at() -> Location {
    Location { file: FileId(0), start: 0, end: 0 }
}

fn named(text: &str) -> Located<String> {
    Located::new(text.to_owned(), at())
}

fn check(id: &str, kind: CheckKind) -> CheckSpec {
    CheckSpec { id: CheckId::new(id), severity: Severity::Quarantine, kind, at: at() }
}

fn range(column: &str, min: i64, max: i64) -> CheckSpec {
    let bounds = Bounds { min: Some(Scalar::Int(min)), max: Some(Scalar::Int(max)) };
    check(&format!("range({column})"), CheckKind::Range { column: named(column), bounds })
}

fn not_null(column: &str) -> CheckSpec {
    check(&format!("not_null({column})"), CheckKind::NotNull { column: named(column) })
}

fn statuses() -> Vec<Scalar> {
    ["new", "paid", "shipped", "returned", "cancelled"]
        .iter()
        .map(|text| Scalar::Text((*text).into()))
        .collect()
}

fn checks(email: Pattern) -> Vec<CheckSpec> {
    vec![
        not_null("order_id"),
        not_null("customer_id"),
        not_null("ordered_at"),
        check("unique(order_id)", CheckKind::Unique { columns: vec![named("order_id")] }),
        range("amount", 0, 100_000),
        range("quantity", 1, 100),
        check("one_of(status)", CheckKind::OneOf { column: named("status"), values: statuses() }),
        check("pattern(email)", CheckKind::Pattern { column: named("email"), pattern: email }),
        check(
            "row_count",
            CheckKind::RowCount { bounds: Bounds { min: Some(1), max: None }, change_max: None },
        ),
        check(
            "mean(amount)",
            CheckKind::Mean { column: named("amount"), bounds: Bounds { min: Some(0.0), max: Some(1e6) } },
        ),
    ]
}

fn columns(types: &[(&str, &str)]) -> Vec<ContractColumn> {
    let column = |(name, text): &(&str, &str)| ContractColumn {
        name: (*name).into(),
        column_type: text.parse().unwrap(),
        pii: false,
        inferred: false,
    };
    types.iter().map(column).collect()
}

fn compile(types: &[(&str, &str)], checks: &[CheckSpec]) -> Contract {
    let options = ContractOptions {
        checks,
        type_severity: Severity::Quarantine,
        relations: &Relations::new(),
        extra: &[],
        now: TimestampMicros(0),
    };
    Contract::compile(&columns(types), &options).unwrap()
}

/// The thread's own time on a core, where the system tells it: other work on the machine does not count.
fn on_core() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// One row in a hundred breaks a rule.
fn email(row: usize) -> String {
    if row % 100 == 7 { format!("user{row}") } else { format!("user{row}@mail.example.com") }
}

fn status(row: usize) -> &'static str {
    ["new", "paid", "shipped", "returned", "cancelled"][row * 7 % 5]
}

const START: i64 = 1_700_000_000_000_000;

fn typed_batch(rows: std::ops::Range<usize>) -> RecordBatch {
    let id = |row: usize| row as i64;
    RecordBatch::try_from_iter([
        ("order_id", Arc::new(rows.clone().map(id).collect::<Int64Array>()) as ArrayRef),
        ("customer_id", Arc::new(rows.clone().map(|row| id(row * 31 % 99_991)).collect::<Int64Array>())),
        ("email", Arc::new(StringArray::from_iter_values(rows.clone().map(email)))),
        ("amount", Arc::new(rows.clone().map(|row| (row % 9_973) as f64 * 1.01).collect::<Float64Array>())),
        ("status", Arc::new(StringArray::from_iter_values(rows.clone().map(status)))),
        (
            "ordered_at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    rows.clone().map(|row| START + id(row) * 1_000_003),
                )
                .with_timezone("UTC"),
            ),
        ),
        ("quantity", Arc::new(rows.map(|row| (row % 99 + 1) as i32).collect::<Int32Array>())),
    ])
    .unwrap()
}

fn typed() {
    const ROWS: usize = 1_000_000;
    let types = [
        ("order_id", "int64"),
        ("customer_id", "int64"),
        ("email", "string"),
        ("amount", "float64"),
        ("status", "string"),
        ("ordered_at", "timestamp"),
        ("quantity", "int32"),
    ];
    let expression = r"[\w.+-]+@[\w-]+\.[\w.-]+".to_owned();
    let checks = checks(Pattern::Regex(expression));
    let batches: Vec<RecordBatch> =
        (0..ROWS).step_by(BATCH).map(|first| typed_batch(first..(first + BATCH).min(ROWS))).collect();
    let schema: SchemaRef = batches[0].schema();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut times = Vec::new();
    for run in 0..RUNS {
        let start = Instant::now();
        let contract = compile(&types, &checks);
        let core = on_core();
        let (left, right) = batches.split_at(batches.len() / 2);
        let half = |part: &[RecordBatch]| {
            part.iter().map(|batch| contract.evaluate(batch).unwrap()).collect::<Vec<_>>()
        };
        let mut evaluated = std::thread::scope(|scope| {
            let right = scope.spawn(|| half(right));
            let mut evaluated = half(left);
            evaluated.extend(right.join().unwrap());
            evaluated
        });
        let mut index = UniqueIndex::new(&contract, 0);
        let mut tally = Tally::default();
        for batch in &mut evaluated {
            index.check(batch);
            tally.merge(&Tally::of(batch));
        }
        let rows_checked = on_core() - core;
        let table = MemTable::try_new(schema.clone(), vec![batches.clone()]).unwrap();
        let session = LocalRuntime::new(SessionContext::new().state(), Vec::new());
        let outcomes = runtime
            .block_on(evaluate_table_checks(
                &session,
                Arc::new(table),
                &checks,
                VersionBefore::default(),
                TimestampMicros(0),
            ))
            .unwrap();
        times.push(start.elapsed());
        if run == 0 {
            println!(
                "typed: {} of {} rows rejected, mean {}",
                tally.rejected, tally.rows, outcomes[1].observed
            );
            println!("typed: half of the row checks and the index on the core {rows_checked:?}");
        }
    }
    println!("typed: 10 checks on 1M rows x 7 columns, 2 threads: {:?}", median(times));
}

fn text_batch(first: usize) -> RecordBatch {
    let rows = first..first + BATCH;
    let texts = |text: &dyn Fn(usize) -> String| {
        Arc::new(StringArray::from_iter_values(rows.clone().map(text))) as ArrayRef
    };
    RecordBatch::try_from_iter([
        ("order_id", texts(&|row| row.to_string())),
        ("customer_id", texts(&|row| (row * 31 % 99_991).to_string())),
        ("email", texts(&email)),
        ("amount", texts(&|row| format!("{}.{:02}", row % 9_973, row % 100))),
        ("status", texts(&|row| status(row).to_owned())),
        (
            "ordered_at",
            texts(&|row| {
                let mut text = String::new();
                let (day, second) = (row % 28 + 1, row % 60);
                write!(
                    text,
                    "2024-{:02}-{day:02}T{:02}:{:02}:{second:02}.{:06}Z",
                    row % 12 + 1,
                    row % 24,
                    row % 60,
                    row % 1_000_000
                )
                .unwrap();
                text
            }),
        ),
        ("note", texts(&|row| format!("note number {row}"))),
        ("quantity", texts(&|row| (row % 99 + 1).to_string())),
    ])
    .unwrap()
}

fn text() {
    const ROWS: usize = 5_000_000;
    let types = [
        ("order_id", "int64"),
        ("customer_id", "int64"),
        ("email", "string"),
        ("amount", "decimal(12,2)"),
        ("status", "string"),
        ("ordered_at", "timestamp"),
        ("note", "string"),
        ("quantity", "int32"),
    ];
    let checks = checks(Pattern::Named(NamedPattern::Email));
    let contract = compile(&types, &checks);
    let raw: Vec<RecordBatch> = (0..ROWS).step_by(BATCH).map(text_batch).collect();
    let (mut times, mut cores) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let (start, core) = (Instant::now(), on_core());
        let mut index = UniqueIndex::new(&contract, 0);
        let mut tally = Tally::default();
        for batch in &raw {
            let mut evaluated = contract.evaluate(batch).unwrap();
            index.check(&mut evaluated);
            tally.merge(&Tally::of(&evaluated));
        }
        times.push(start.elapsed());
        cores.push(on_core() - core);
        if run == 0 {
            println!("text: {} of {} rows rejected", tally.rejected, tally.rows);
        }
    }
    let (wall, core) = (median(times), median(cores));
    println!("text: 5M rows x 8 columns, coerced, 10 checks, 1 thread: {wall:?}, on the core {core:?}");
    let rejecting = RejectedRows { run: RunId::new("run"), epoch: 1, now: TimestampMicros(0) };
    let evaluated: Vec<_> = raw.iter().map(|batch| contract.evaluate(batch).unwrap()).collect();
    let core = on_core();
    let rejected = raw.iter().zip(&evaluated).map(|(raw, evaluated)| {
        let (positions, source) = (Positions::From(0), Sources::One("orders.csv"));
        rejecting.build(&contract, raw, evaluated, &positions, &source).unwrap().num_rows()
    });
    println!("text:   {} rejected rows built: {:?}", rejected.sum::<usize>(), on_core() - core);
    drop(evaluated);
    for (name, text) in types {
        let alone = compile(&[(name, text)], &[]);
        let core = on_core();
        raw.iter().for_each(|batch| drop(alone.evaluate(batch).unwrap()));
        println!("text:   {name} to {text}: {:?}", on_core() - core);
    }
    for check in &checks {
        if check.kind.is_row_check() {
            let alone = compile(&types, std::slice::from_ref(check));
            let typed: Vec<RecordBatch> =
                raw.iter().map(|batch| alone.evaluate(batch).unwrap().rows).collect();
            let core = on_core();
            typed.iter().for_each(|batch| drop(alone.evaluate(batch).unwrap()));
            println!("text:   {} alone: {:?}", check.id, on_core() - core);
        }
    }
}

fn unique() {
    const ROWS: usize = 5_000_000;
    for (what, types, scatter) in [
        ("consecutive int64", "int64", 1_i64),
        ("scattered int64", "int64", 0x9E37_79B9_7F4A_7C15_u64 as i64),
        ("text", "string", 0x9E37_79B9_7F4A_7C15_u64 as i64),
    ] {
        let contract = compile(
            &[("id", types)],
            &[check("unique(id)", CheckKind::Unique { columns: vec![named("id")] })],
        );
        let batches: Vec<RecordBatch> = (0..ROWS)
            .step_by(BATCH)
            .map(|first| {
                let ids = (first..first + BATCH).map(|row| (row as i64).wrapping_mul(scatter));
                let ids: ArrayRef = match types {
                    "int64" => Arc::new(ids.collect::<Int64Array>()),
                    _ => {
                        Arc::new(StringArray::from_iter_values(ids.map(|id| format!("{id:016x}-{id:016x}"))))
                    }
                };
                RecordBatch::try_from_iter([("id", ids)]).unwrap()
            })
            .collect();
        let core = on_core();
        let mut evaluated: Vec<_> = batches.iter().map(|batch| contract.evaluate(batch).unwrap()).collect();
        let hashed = on_core() - core;
        let core = on_core();
        let mut index = UniqueIndex::new(&contract, 0);
        evaluated.iter_mut().for_each(|batch| index.check(batch));
        let indexed = on_core() - core;
        println!("unique: {what}: keys {hashed:?}, index {indexed:?}, {:?} a row", indexed / 5_000_000);
    }
}
