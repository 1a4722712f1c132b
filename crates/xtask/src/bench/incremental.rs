//! One percent of new rows through a chain of three tables, beside the chain's full build.

use super::{Context, Measure, Row, project::Project};
use crate::Result;

const ROWS: u64 = 5_000_000;

/// File below the project, and its text.
const TABLES: [(&str, &str); 3] = [
    (
        "tables/silver/orders.sql",
        "/*---\nmaterialize: incremental\nkey: order_id\n---*/\n\
         SELECT order_id, customer_id, amount, status, country, ordered_at FROM bronze.orders\n",
    ),
    (
        "tables/silver/paid.sql",
        "/*---\nmaterialize: incremental\nkey: order_id\n---*/\n\
         SELECT order_id, customer_id, amount, country, ordered_at FROM silver.orders WHERE status = 'paid'\n",
    ),
    (
        "tables/gold/euro.sql",
        "/*---\nmaterialize: incremental\nkey: order_id\n---*/\n\
         SELECT order_id, customer_id, amount * 2 AS doubled, ordered_at FROM silver.paid WHERE country <> 'US'\n",
    ),
];

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let rows = context.rows(ROWS);
    let more = rows / 100;
    let data = |name: &str, count: u64, first: u64| {
        context.data(
            &format!("orders-{name}-{rows}.parquet"),
            "orders.py",
            &["parquet", &count.to_string(), &first.to_string()],
        )
    };
    let (first, second) = (data("base", rows, 0)?, data("more", more, rows)?);
    let project = Project::new(context.folder.join("incremental"))?;
    project.orders("data/*.parquet")?;
    for (path, text) in TABLES {
        project.file(path, text)?;
    }
    project.link(&first, "data/1.parquet")?;
    let (mut full, mut added) = (Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        project.reset()?;
        full.push(context.once(&context.run_project(&project.folder))?);
        project.link(&second, "data/2.parquet")?;
        added.push(context.once(&context.run_project(&project.folder))?);
        std::fs::remove_file(project.folder.join("data/2.parquet"))?;
    }
    let (full, added) = (Measure::median(full), Measure::median(added));
    Ok(vec![Row::against(
        format!("{more} rows more through 3 tables"),
        added,
        &format!("full build of {rows}"),
        full,
        0.05,
    )])
}
