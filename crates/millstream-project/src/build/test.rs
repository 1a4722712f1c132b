//! `tests/*.yaml`: given rows, expected rows.

use indexmap::IndexMap;
use millstream_types::TableName;

use super::Context;
use crate::{
    Located, Node, NodeKind, TestInput, TestSpec, codes,
    file::{TestFile, TestsFile},
    variables,
};

/// Reads the tests of one file; `stem` names those without a name.
pub(crate) fn tests(context: &Context<'_>, stem: &str, mut node: Node) -> Vec<TestSpec> {
    variables::substitute(&mut node, context.text, context.values, context.faults);
    if node.get("tests").is_none() {
        return test(context, stem.to_owned(), &node).into_iter().collect();
    }
    let Some(file) = context.faults.decode_at::<TestsFile>(&node, context.start()) else { return Vec::new() };
    let named = |index: usize| format!("{stem} {}", index + 1);
    file.tests.iter().enumerate().filter_map(|(index, node)| test(context, named(index), node)).collect()
}

fn test(context: &Context<'_>, implied_name: String, node: &Node) -> Option<TestSpec> {
    let file: TestFile = context.faults.decode(node)?;
    let at = file.name.as_ref().map_or(node.at, |name| name.at);
    let table = table_name(context, &file.table);
    let mut given = IndexMap::new();
    for (name, rows) in file.given.0 {
        let rows = rows_of(context, rows);
        if let Some(name) = table_name(context, &name) {
            given.insert(name.value, TestInput { at: name.at, ..rows });
        }
    }
    let expect = rows_of(context, file.expect);
    let name = file.name.map_or(implied_name, |name| name.value);
    Some(TestSpec { name, at, table: table?, given, expect, ordered: file.ordered })
}

fn table_name(context: &Context<'_>, written: &Located<String>) -> Option<Located<TableName>> {
    match written.parse() {
        Ok(name) => Some(Located::new(name, written.at)),
        Err(error) => {
            let error: millstream_types::NameError = error;
            context.error(
                codes::WRONG_TEST,
                error.to_string(),
                written.at,
                "name a table, as in `silver.orders`",
            );
            None
        }
    }
}

/// Rows are mappings of single values; lists and mappings inside of them belong to nested columns. What is no row is
/// reported and left out, so that the others can be judged.
fn rows_of(context: &Context<'_>, rows: Located<Vec<Node>>) -> TestInput {
    let (kept, faulty): (Vec<Node>, Vec<Node>) =
        rows.value.into_iter().partition(|row| matches!(row.kind, NodeKind::Map(_)));
    for row in faulty {
        let message = format!("expected a row, found {}", row.describe());
        context.error(codes::WRONG_TEST, message, row.at, "write a mapping: `{order_id: 1, amount: 9.5}`");
    }
    TestInput { at: rows.at, rows: kept }
}
