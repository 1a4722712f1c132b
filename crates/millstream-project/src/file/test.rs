//! `tests/*.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::schema_text::RowObject;
use crate::{Located, Node, decode::Entries};

/// A file with several tests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tests")]
pub(crate) struct TestsFile {
    /// The tests, each on its own.
    #[schemars(with = "Vec<TestFile>")]
    pub(crate) tests: Vec<Node>,
}

/// Given rows, expected rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Test")]
pub(crate) struct TestFile {
    /// What is tested, in words.
    #[serde(default)]
    pub(crate) name: Option<Located<String>>,
    /// The table whose SQL runs.
    pub(crate) table: Located<String>,
    /// Rows of the tables that the SQL reads.
    #[serde(default)]
    #[schemars(with = "Entries<Vec<RowObject>>")]
    pub(crate) given: Entries<Located<Vec<Node>>>,
    /// The rows that come out. Columns that no row names are not compared. Of a history these are the rows of its SELECT, or,
    /// when a row names `valid_from` or `valid_to`, the periods of a first build at 2024-01-01.
    #[schemars(with = "Vec<RowObject>")]
    pub(crate) expect: Located<Vec<Node>>,
    /// Whether the order of the rows counts.
    #[serde(default)]
    pub(crate) ordered: bool,
}
