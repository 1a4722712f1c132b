//! Tests that a project's owner writes: given rows, expected rows.

use indexmap::IndexMap;
use millstream_types::TableName;

use crate::{Located, Location, Node};

/// One test of one file of `tests/`.
#[derive(Clone, Debug)]
pub struct TestSpec {
    pub name: String,
    pub at: Location,
    /// The table under test.
    pub table: Located<TableName>,
    pub given: IndexMap<TableName, TestInput>,
    /// The rows that are expected, as mappings of column to value. Columns that no row names are not compared.
    pub expect: TestInput,
    /// Whether the order of the rows counts.
    pub ordered: bool,
}

/// Rows as written: each a mapping from column to scalar.
#[derive(Clone, Debug)]
pub struct TestInput {
    /// The place of the table's name for given rows, of the rows for expected ones.
    pub at: Location,
    pub rows: Vec<Node>,
}
