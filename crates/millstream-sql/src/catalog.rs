//! The tables of a project as the planner sees them: names and schemas, no data.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::logical_expr::TableSource;
use millstream_connector::arrow_type;
use millstream_project::SourceSpec;
use millstream_types::{INGESTED_AT, POSITION, SEQUENCE, SOURCE, TableName};

/// The column of a history table that says when a state began.
pub const VALID_FROM: &str = "valid_from";
/// The column of a history table that says when a state ended; null for the current one.
pub const VALID_TO: &str = "valid_to";

/// A table of the project in a plan that was made offline.
#[derive(Debug)]
pub struct ProjectTable {
    pub name: TableName,
    pub schema: SchemaRef,
}

impl TableSource for ProjectTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Every table that SQL may name, by name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tables: HashMap<TableName, Arc<ProjectTable>>,
}

impl Catalog {
    /// The sources' landed tables and their tables of rejected rows.
    pub(crate) fn of_sources(sources: &[SourceSpec]) -> Self {
        let mut catalog = Self::default();
        let rejected = rejected_schema();
        for source in sources {
            let name = source.table();
            catalog.insert(name.rejected(), rejected.clone());
            catalog.insert(name, source_schema(source));
        }
        catalog
    }

    pub(crate) fn insert(&mut self, name: TableName, schema: SchemaRef) {
        self.tables.insert(name.clone(), Arc::new(ProjectTable { name, schema }));
    }

    pub(crate) fn get(&self, name: &TableName) -> Option<&Arc<ProjectTable>> {
        self.tables.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }
}

/// The schema of a timestamp as the lake keeps it.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of `bronze.<source>`: the contract's columns, then the four that landing adds.
#[must_use]
pub fn source_schema(source: &SourceSpec) -> SchemaRef {
    let contract = source.contract.columns.values();
    let columns = contract.map(|column| Field::new(&column.name, arrow_type(&column.column_type), true));
    let landing = [
        Field::new(INGESTED_AT, timestamp(), true),
        Field::new(SEQUENCE, DataType::Int64, true),
        Field::new(SOURCE, DataType::Utf8, true),
        Field::new(POSITION, DataType::Int64, true),
    ];
    Arc::new(Schema::new(columns.chain(landing).collect::<Vec<_>>()))
}

/// The schema of every table of rejected rows.
#[must_use]
pub fn rejected_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("_rejected_at", timestamp(), true),
        text("_run"),
        Field::new("_epoch", DataType::Int64, true),
        text("_check"),
        text("_reason"),
        text(SOURCE),
        Field::new(POSITION, DataType::Int64, true),
        text("_columns"),
        text("_row"),
        text("_text"),
    ]))
}
