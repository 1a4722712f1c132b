//! `test --json`.

use millstream_project::SourceMap;
use millstream_sql::{TestOutcome, TestRow, Verdict};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Problem;

/// The tests that ran.
#[derive(Clone, Debug, Serialize)]
pub struct TestDocument {
    pub passed: usize,
    pub failed: usize,
    pub tests: Vec<TestResult>,
}

/// How one test ended.
#[derive(Clone, Debug, Serialize)]
pub struct TestResult {
    pub name: String,
    pub table: String,
    /// `passed`, `different`, `invalid`, `failed`.
    pub verdict: &'static str,
    /// Rows that were expected and did not come, as column to text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Map<String, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unexpected: Vec<Map<String, Value>>,
    /// Expected rows that came with other values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<TestChange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An expected row and the values that came instead.
#[derive(Clone, Debug, Serialize)]
pub struct TestChange {
    pub expected: Map<String, Value>,
    pub actual: Map<String, Value>,
}

impl TestResult {
    #[must_use]
    pub fn new(outcome: &TestOutcome, files: &SourceMap) -> Self {
        let mut result = Self {
            name: outcome.name.clone(),
            table: outcome.table.to_string(),
            verdict: "passed",
            missing: Vec::new(),
            unexpected: Vec::new(),
            changed: Vec::new(),
            problems: Vec::new(),
            error: None,
        };
        match &outcome.verdict {
            Verdict::Passed { .. } => {}
            Verdict::Different { columns, missing, unexpected, changed, .. } => {
                result.verdict = "different";
                result.missing = missing.iter().map(|cells| row(columns, cells)).collect();
                result.unexpected = unexpected.iter().map(|cells| row(columns, cells)).collect();
                result.changed = changed
                    .iter()
                    .map(|changed| {
                        let cells = changed
                            .cells
                            .iter()
                            .filter_map(|cell| Some((columns.get(cell.column)?, &cell.actual)));
                        let actual =
                            cells.map(|(column, actual)| (column.clone(), value(actual.as_ref()))).collect();
                        TestChange { expected: row(columns, &changed.expected), actual }
                    })
                    .collect();
            }
            Verdict::Invalid(problems) => {
                result.verdict = "invalid";
                result.problems = problems.iter().map(|problem| Problem::new(problem, files)).collect();
            }
            Verdict::Failed(error) => {
                result.verdict = "failed";
                result.error = Some(error.to_string());
            }
        }
        result
    }
}

fn row(columns: &[String], cells: &TestRow) -> Map<String, Value> {
    columns.iter().zip(cells).map(|(column, cell)| (column.clone(), value(cell.as_ref()))).collect()
}

fn value(cell: Option<&String>) -> Value {
    cell.map_or(Value::Null, |text| Value::String(text.clone()))
}
