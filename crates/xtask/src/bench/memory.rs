//! Peak memory of each kind of work at one, ten and a hundred times the rows, in the same bound: what is promised to stream
//! or to use the disk takes no more memory when there is more of it.

use std::process::Command;

use super::{Context, Row, project::Project, table::Target};
use crate::Result;

/// The rows of the smallest input.
const ROWS: u64 = 100_000;
const SCALES: [u64; 3] = [1, 10, 100];
/// The bound on what queries and tables hold; what a process takes beside it does not grow with its input.
const MEMORY: &str = "256MiB";
/// The most memory that any of the processes may take.
const PEAK_BYTES_MAX: f64 = 768.0 * (1 << 20) as f64;

/// The name of each kind of work, and the arguments of its command.
const WORK: [(&str, &[&str]); 7] = [
    ("landing", &["run", "orders"]),
    ("table", &["run", "silver.kept"]),
    ("distinct", &["run", "gold.distinct"]),
    ("join", &["run", "gold.joined"]),
    (
        "sort",
        &["query", "SELECT * FROM bronze.orders ORDER BY email, order_id", "--output", "sorted.parquet"],
    ),
    ("dataset", &["dataset", "build", "spending"]),
    ("materialise", &["features", "materialize"]),
];

const FILES: [(&str, &str); 5] = [
    (
        "tables/silver/kept.sql",
        "SELECT order_id, customer_id, amount, ordered_at FROM bronze.orders WHERE status <> 'cancelled'\n",
    ),
    (
        "tables/gold/distinct.sql",
        "SELECT country, count(DISTINCT email) AS customers, count(DISTINCT order_id) AS orders, count(*) AS n\n\
         FROM bronze.orders GROUP BY country\n",
    ),
    (
        "tables/gold/joined.sql",
        "SELECT a.order_id, b.email, b.status FROM bronze.orders AS a JOIN bronze.orders AS b ON a.order_id = b.order_id\n",
    ),
    (
        "features/customer.yaml",
        "entity: {name: customer, key: customer_id}\nviews:\n  spending:\n    from: silver.kept\n    time: ordered_at\n    \
         features:\n      spent_7d: {sum: amount, window: 7d}\n      orders_30d: {count: \"*\", window: 30d}\n\
         services:\n  spending_v1: [spending.*]\n",
    ),
    (
        "datasets/spending.yaml",
        "labels: {from: silver.kept, entity: customer, time: ordered_at, columns: [customer_id, ordered_at, order_id]}\n\
         features: spending_v1\n",
    ),
];

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for scale in SCALES {
        let count = context.rows(ROWS * scale);
        let name = format!("orders-{count}.parquet");
        let data = context.data(&name, "orders.py", &["parquet", &count.to_string(), "0"])?;
        let project = Project::new(context.folder.join("memory"))?;
        project.orders("data/*.parquet")?;
        project.link(&data, "data/orders.parquet")?;
        for (path, text) in FILES {
            project.file(path, text)?;
        }
        for (work, arguments) in WORK {
            let mut command = Command::new(&context.binary);
            command.current_dir(&project.folder).args(arguments).args(["--memory", MEMORY]);
            let measured = context.once(&command)?;
            #[allow(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
            let peak = measured.peak_bytes as f64;
            let what = format!("peak memory of {work}, {scale}x ({count} rows, {:.1} s)", measured.seconds);
            rows.push(Row::figure(what, peak, Target::Bytes(PEAK_BYTES_MAX)));
        }
    }
    Ok(rows)
}
