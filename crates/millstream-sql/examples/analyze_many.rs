//! How long the analysis of a project takes: `cargo run --release -p millstream-sql --example analyze_many -- 500`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use indexmap::IndexMap;
use millstream_project::{
    ColumnSpec, ConnectorSpec, ContractSpec, Evolution, FileId, HiddenValues, LandingMode, Located, Location,
    Materialize, Node, NodeKind, SourceSpec, TableSpec,
};
use millstream_sql::{LineageGraph, analyze};
use millstream_types::{ColumnType, Severity, SourceName, TableName};

/// The allocator that the product uses, so that the figure holds for the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(500), |count| count.parse())?;
    let sources = vec![source("orders")?, source("customers")?];
    let tables = (0..count).map(table).collect::<Result<Vec<_>, _>>()?;
    for round in 0..5 {
        let start = Instant::now();
        let analysis = analyze(&sources, &tables);
        let analysed = start.elapsed();
        let start = Instant::now();
        let _graph = LineageGraph::new(&analysis);
        let lineage = start.elapsed();
        let (planned, problems) = (analysis.tables.len(), analysis.diagnostics.len());
        println!("round {round}: {planned} tables, {problems} problems in {analysed:?}, lineage {lineage:?}");
    }
    Ok(())
}

fn nowhere() -> Location {
    Location { file: FileId(0), start: 0, end: 0 }
}

fn source(name: &str) -> Result<SourceSpec, Box<dyn std::error::Error>> {
    let column = |name: &str, column_type| {
        let spec =
            ColumnSpec { name: name.into(), at: nowhere(), column_type, description: None, pii: false };
        (name.to_owned(), spec)
    };
    let columns = IndexMap::from([
        column("id", ColumnType::Int64),
        column("customer_id", ColumnType::Int64),
        column("amount", ColumnType::Decimal { precision: 12, scale: 2 }),
        column("status", ColumnType::String),
        column("at", ColumnType::Timestamp { zone: None }),
    ]);
    Ok(SourceSpec {
        name: SourceName::new(name)?,
        at: nowhere(),
        description: None,
        owner: None,
        tags: Vec::new(),
        connector: ConnectorSpec {
            kind: Located::new("files".into(), nowhere()),
            options: Node { kind: NodeKind::Null, at: nowhere() },
            has_gap: false,
            connection: None,
            secrets: HiddenValues::default(),
        },
        schedule: None,
        steps: Default::default(),
        landing: LandingMode::Append,
        on_lost_position: Default::default(),
        contract: ContractSpec {
            columns,
            key: Vec::new(),
            time: None,
            evolution: Evolution::Freeze,
            freshness: None,
            checks: Vec::new(),
            on_violation: Severity::Quarantine,
            halt_above: None,
            halt_window: None,
            future: None,
        },
    })
}

/// Chains of ten tables with a join, conditions, a window and an aggregate each.
fn table(index: usize) -> Result<TableSpec, Box<dyn std::error::Error>> {
    let input =
        if index.is_multiple_of(10) { "bronze.orders".to_owned() } else { format!("silver.t{}", index - 1) };
    let sql = format!(
        "SELECT o.id, o.customer_id, o.amount, upper(o.status) AS status, o.at,\n\
         CASE WHEN o.amount > 100 THEN 'large' ELSE 'small' END AS size,\n\
         row_number() OVER (PARTITION BY o.customer_id ORDER BY o.at) AS n,\n\
         t.total\n\
         FROM {input} o\n\
         LEFT JOIN (SELECT customer_id, sum(amount) AS total FROM {input} GROUP BY customer_id) t\n\
         ON t.customer_id = o.customer_id\n\
         WHERE o.status <> 'test' AND coalesce(o.amount, 0) >= {index}"
    );
    Ok(TableSpec {
        name: TableName::new("silver", &format!("t{index}"))?,
        at: nowhere(),
        description: None,
        owner: None,
        tags: Vec::new(),
        schedule: None,
        steps: Default::default(),
        materialize: Materialize::Table,
        partition: None,
        parameters: Vec::new(),
        needs: Vec::new(),
        checks: Vec::new(),
        on_violation: Severity::Warn,
        halt_above: None,
        sql: Located::new(sql, nowhere()),
    })
}
