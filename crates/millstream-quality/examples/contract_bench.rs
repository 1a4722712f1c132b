//! Ten checks on a Parquet file in memory: `contract_bench FILE` prints `{"seconds": …, "peak_bytes": …}` for one
//! evaluation on two threads. `cargo xtask bench contract` calls it beside its peers, which do the same checks.
#![allow(clippy::print_stdout, reason = "the figures are the output")]
#![allow(clippy::disallowed_types, reason = "a bench opens a session of its own")]

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    datasource::MemTable,
    prelude::{ParquetReadOptions, SessionConfig, SessionContext},
};
use millstream_project::{Bounds, CheckKind, CheckSpec, FileId, Located, Location, Pattern, Scalar};
use millstream_quality::{
    Contract, ContractColumn, ContractOptions, Evaluated, QualityError, Relations, Tally, UniqueIndex,
    Verdict, VersionBefore, evaluate_table_checks,
};
use millstream_query::LocalRuntime;
use millstream_types::{CheckId, Severity, TimestampMicros};

const COLUMNS: [(&str, &str); 7] = [
    ("order_id", "int64"),
    ("customer_id", "int64"),
    ("amount", "float64"),
    ("quantity", "int32"),
    ("status", "string"),
    ("email", "string"),
    ("ordered_at", "timestamp"),
];
const AT: Location = Location { file: FileId(0), start: 0, end: 0 };

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a Parquet file")?;
    // Landing gets plain strings from its readers, so plain strings are what is judged here.
    let plain = SessionConfig::new().set_bool("datafusion.execution.parquet.schema_force_view_types", false);
    let session = SessionContext::new_with_config(plain);
    let batches = session.read_parquet(path, ParquetReadOptions::default()).await?.collect().await?;
    // The first evaluation pays for memory that the system has not handed out yet, as the peers' first does.
    evaluate(&batches).await?;
    let begin = Instant::now();
    evaluate(&batches).await?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("{{\"seconds\": {seconds}, \"peak_bytes\": {}}}", peak_bytes());
    Ok(())
}

async fn evaluate(batches: &[RecordBatch]) -> Result<(), Box<dyn Error>> {
    let checks = checks();
    let columns = COLUMNS.iter().map(|(name, text)| {
        Ok(ContractColumn { name: (*name).into(), column_type: text.parse()?, pii: false, inferred: false })
    });
    let columns = columns.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let options = ContractOptions {
        checks: &checks,
        type_severity: Severity::Quarantine,
        relations: &Relations::new(),
        extra: &[],
        now: TimestampMicros(0),
    };
    let contract = Contract::compile(&columns, &options)?;
    let (left, right) = batches.split_at(batches.len() / 2);
    let mut evaluated = std::thread::scope(|scope| {
        let right = scope.spawn(|| all(&contract, right));
        let left = all(&contract, left);
        let right = right.join().map_err(|_| "a thread stopped")?;
        Ok::<_, Box<dyn Error>>(left?.into_iter().chain(right?).collect::<Vec<_>>())
    })?;
    let (mut index, mut tally) = (UniqueIndex::new(&contract, 0), Tally::default());
    for batch in &mut evaluated {
        index.check(batch);
        tally.merge(&Tally::of(batch));
    }
    let verdict = Verdict::of(&tally, &tally.counts(&contract), None);
    let schema: SchemaRef = batches.first().ok_or("the file has no rows")?.schema();
    let table = Arc::new(MemTable::try_new(schema, vec![batches.to_vec()])?);
    let session = LocalRuntime::new(SessionContext::new().state(), Vec::new());
    let before = VersionBefore::default();
    let outcomes = evaluate_table_checks(&session, table, &checks, before, TimestampMicros(0)).await?;
    if verdict != Verdict::Commit || tally.rejected == 0 || outcomes.iter().any(|outcome| !outcome.passed) {
        return Err(format!("unexpected verdict {verdict:?}, {} rejected", tally.rejected).into());
    }
    Ok(())
}

fn all(contract: &Contract, batches: &[RecordBatch]) -> Result<Vec<Evaluated>, QualityError> {
    batches.iter().map(|batch| contract.evaluate(batch)).collect()
}

fn checks() -> Vec<CheckSpec> {
    let named = |text: &str| Located::new(text.to_owned(), AT);
    let check =
        |id: &str, kind| CheckSpec { id: CheckId::new(id), severity: Severity::Quarantine, kind, at: AT };
    let range = |column: &str, min, max| {
        let bounds = Bounds { min: Some(Scalar::Int(min)), max: Some(Scalar::Int(max)) };
        check(&format!("range({column})"), CheckKind::Range { column: named(column), bounds })
    };
    let statuses = ["paid", "open", "sent", "returned", "cancelled"];
    let values = statuses.iter().map(|text| Scalar::Text((*text).into())).collect();
    let pattern = Pattern::Regex(r"[^@\s]+@[^@\s]+\.[^@\s]+".into());
    let count = Bounds { min: Some(1), max: None };
    let mean = Bounds { min: Some(1.0), max: Some(10_000.0) };
    let not_null =
        |column: &str| check(&format!("not_null({column})"), CheckKind::NotNull { column: named(column) });
    vec![
        not_null("order_id"),
        not_null("customer_id"),
        not_null("ordered_at"),
        check("unique(order_id)", CheckKind::Unique { columns: vec![named("order_id")] }),
        range("amount", 0, 100_000),
        range("quantity", 1, 10),
        check("one_of(status)", CheckKind::OneOf { column: named("status"), values }),
        check("pattern(email)", CheckKind::Pattern { column: named("email"), pattern }),
        check("row_count", CheckKind::RowCount { bounds: count, change_max: None }),
        check("mean(amount)", CheckKind::Mean { column: named("amount"), bounds: mean }),
    ]
}

/// The most memory that the process held, as Linux tells it; 0 elsewhere.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
