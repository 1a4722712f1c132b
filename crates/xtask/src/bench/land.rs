//! Landing a file under a contract of ten checks, beside DuckDB reading and writing it without any.

use super::{Context, Row, project::Project};
use crate::Result;

const ROWS: u64 = 5_000_000;
const RATIO_MAX: f64 = 1.25;
const PEAK_BYTES_MAX: f64 = (1_u64 << 30) as f64;

/// About 10 GB of CSV.
const ROWS_LARGE: u64 = 125_000_000;

pub(super) fn land(context: &Context<'_>, format: &str) -> Result<Vec<Row>> {
    let rows = context.rows(ROWS);
    let file = format!("orders-{rows}.{format}");
    let data = context.data(&file, "orders.py", &[format, &rows.to_string(), "0"])?;
    let project = Project::new(context.folder.join(format!("land-{format}")))?;
    project.orders(&format!("data/*.{format}"))?;
    project.link(&data, &format!("data/orders.{format}"))?;
    let ours = context.measure(|| project.reset(), || context.run_project(&project.folder))?;
    let target = context.folder.join("duckdb.parquet");
    let peer = context.measure_itself(
        || Ok(()),
        || {
            let mut command = context.script("land_peer.py");
            command.arg(format).arg(&data).arg(&target);
            command
        },
    )?;
    Ok(vec![
        Row::against(
            format!("land {rows} rows of {format}, 10 checks"),
            ours,
            "DuckDB, no check",
            peer,
            RATIO_MAX,
        ),
        Row::bytes(format!("peak memory of landing {format}"), ours, PEAK_BYTES_MAX),
    ])
}

/// One landing of a file that is far larger than the bound on memory.
pub(super) fn land_large(context: &Context<'_>) -> Result<Row> {
    let rows = context.rows(ROWS_LARGE);
    let data = context.data(&format!("orders-{rows}.csv"), "orders.py", &["csv", &rows.to_string(), "0"])?;
    let project = Project::new(context.folder.join("land-large"))?;
    project.orders("data/*.csv")?;
    project.link(&data, "data/orders.csv")?;
    let ours = context.once(&context.run_project(&project.folder))?;
    let size = std::fs::metadata(&data)?.len() >> 20;
    Ok(Row::bytes(
        format!("peak memory of landing {size} MiB of csv ({:.0} s)", ours.seconds),
        ours,
        PEAK_BYTES_MAX,
    ))
}
