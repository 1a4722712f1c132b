//! The order in which tables can be planned, and the circles that have none.

use std::collections::{HashMap, HashSet};

use millstream_project::{Diagnostic, Location, TableSpec};
use millstream_types::TableName;

use super::table::{Parsed, Read};
use crate::codes;

/// Tables in levels: each reads only tables of earlier levels.
pub(super) struct Order<'a> {
    pub(super) levels: Vec<Vec<&'a TableSpec>>,
    /// One message for each circle, at the reference that closes it.
    pub(super) cycles: Vec<(&'a TableSpec, Diagnostic)>,
    /// The tables on the circles that `cycles` reports.
    pub(super) circular: HashSet<TableName>,
}

/// How far the walk is with a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    Done,
}

/// A table on the way, with the index of its next reference.
struct Step<'a> {
    table: &'a TableSpec,
    next: usize,
}

/// Walks depth first, without recursion: chains of tables may be long.
pub(super) fn order<'a>(tables: &'a [TableSpec], parsed: &HashMap<&TableName, Parsed<'_>>) -> Order<'a> {
    let by_name: HashMap<&TableName, &TableSpec> = tables.iter().map(|table| (&table.name, table)).collect();
    let mut order = Order { levels: Vec::new(), cycles: Vec::new(), circular: HashSet::new() };
    let mut levels: HashMap<&TableName, usize> = HashMap::new();
    let mut marks: HashMap<&TableName, Mark> = HashMap::new();
    for table in tables {
        if marks.contains_key(&table.name) {
            continue;
        }
        let mut path = vec![Step { table, next: 0 }];
        marks.insert(&table.name, Mark::Open);
        while let Some(step) = path.last_mut() {
            let table = step.table;
            let read = parsed.get(&table.name).and_then(|parsed| parsed.dependencies.get(step.next));
            let Some(read) = read else {
                marks.insert(&table.name, Mark::Done);
                let reads =
                    parsed.get(&table.name).map(|parsed| parsed.dependencies.as_slice()).unwrap_or_default();
                let below = reads.iter().filter_map(|read| levels.get(&owner(&read.name))).max();
                let level = below.map_or(0, |below| below + 1);
                levels.insert(&table.name, level);
                order.place(table, level);
                path.pop();
                continue;
            };
            step.next += 1;
            let Some(target) = by_name.get(&owner(&read.name)).copied() else { continue };
            match marks.get(&target.name) {
                None => {
                    marks.insert(&target.name, Mark::Open);
                    path.push(Step { table: target, next: 0 });
                }
                Some(Mark::Open) => close(&mut order, &path, target, table, read),
                Some(Mark::Done) => {}
            }
        }
    }
    order
}

impl<'a> Order<'a> {
    fn place(&mut self, table: &'a TableSpec, level: usize) {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        if let Some(tables) = self.levels.get_mut(level) {
            tables.push(table);
        }
    }
}

/// The table whose step gives the rows: rejected rows come out of the step that builds the table itself.
fn owner(table: &TableName) -> TableName {
    table.rejected_of().unwrap_or_else(|| table.clone())
}

fn close<'a>(
    order: &mut Order<'a>,
    path: &[Step<'a>],
    target: &TableSpec,
    table: &'a TableSpec,
    read: &Read,
) {
    let start = path.iter().position(|step| step.table.name == target.name).unwrap_or(0);
    let circle: Vec<_> = path.iter().skip(start).map(|step| &step.table.name).collect();
    order.circular.extend(circle.iter().map(|name| (*name).clone()));
    // The circle is shown from the table in whose file the message stands.
    let mut names: Vec<String> = vec![table.name.to_string()];
    names.extend(circle.iter().map(ToString::to_string));
    let sql = table.sql.at;
    let at =
        Location { file: sql.file, start: sql.start + read.range.start, end: sql.start + read.range.end };
    let (message, hint) = match circle.as_slice() {
        [_] => (
            format!("`{}` reads itself", table.name),
            "read its inputs instead; `materialize: incremental` needs no reference to the table itself",
        ),
        _ => (
            format!("tables read each other in a circle: {}", names.join(" → ")),
            "move what both need into a table of its own",
        ),
    };
    let diagnostic =
        Diagnostic::error(codes::CYCLE, message, at).with_label("this closes the circle").with_hint(hint);
    order.cycles.push((table, diagnostic));
}
