//! One way to write SQL, so that comments, spaces and letter case leave no trace in a definition.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, TableFactor},
    keywords::ALL_KEYWORDS,
};

use crate::walk::{self, QueryEditor};

/// Words of SQL's grammar that are columns far more often, and that no position of an expression takes for anything
/// else.
const COLUMNS: [&str; 39] = [
    "action",
    "at",
    "category",
    "comment",
    "content",
    "count",
    "date",
    "day",
    "domain",
    "event",
    "format",
    "hour",
    "key",
    "language",
    "length",
    "level",
    "location",
    "method",
    "month",
    "name",
    "owner",
    "path",
    "period",
    "price",
    "region",
    "role",
    "sequence",
    "session",
    "size",
    "source",
    "state",
    "status",
    "time",
    "timestamp",
    "type",
    "url",
    "value",
    "week",
    "year",
];

/// The expression as the parser prints it, names in lower case and in quotes only where they need them.
pub(super) fn expression(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _ = walk::edit(&mut expr, &mut Names);
    expr.to_string()
}

/// The query as the parser prints it, with its names written in the same manner.
pub(super) fn query(query: &Query) -> String {
    let mut query = query.clone();
    let _ = walk::edit(&mut query, &mut Names);
    query.to_string()
}

/// The name of a column or a table, in quotes where SQL needs them.
pub(super) fn name(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The text as a literal of SQL.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_');
    starts
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && (COLUMNS.contains(&name)
            || ALL_KEYWORDS.binary_search(&name.to_ascii_uppercase().as_str()).is_err())
}

/// Writes every name in one way: in lower case, and in quotes only where SQL needs them.
struct Names;

impl QueryEditor for Names {
    fn expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => normalize(name),
            Expr::CompoundIdentifier(names) => names.iter_mut().for_each(normalize),
            Expr::Function(call) => lower_case(&mut call.name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                normalize(alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let alias = match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                for part in &mut name.0 {
                    if let ObjectNamePart::Identifier(name) = part {
                        normalize(name);
                    }
                }
                alias
            }
            TableFactor::Derived { alias, .. } => alias,
            _ => return ControlFlow::Continue(()),
        };
        if let Some(alias) = alias {
            normalize(&mut alias.name);
        }
        ControlFlow::Continue(())
    }
}

fn normalize(ident: &mut Ident) {
    if ident.quote_style.is_none() {
        ident.value = ident.value.to_ascii_lowercase();
    }
    ident.quote_style = if is_plain(&ident.value) { None } else { Some('"') };
}

/// Functions are never put in quotes: their words are keywords in places.
fn lower_case(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(name) = part
            && name.quote_style.is_none()
        {
            name.value = name.value.to_ascii_lowercase();
        }
    }
}
