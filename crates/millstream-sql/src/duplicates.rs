//! Where two columns of one SELECT have the same name: the query engine names the column, but no place.

use std::{
    collections::HashMap,
    ops::{ControlFlow, Range},
};

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, Select, SelectItem, Spanned};

use crate::{
    codes,
    explain::Problem,
    parse::{name_parts, parse_query},
    place::SqlText,
    walk::{self, QueryVisitor},
};

/// The problems, of which those about duplicate columns get the place of the second column.
pub(crate) fn locate(mut problems: Vec<Problem>, text: &SqlText<'_>) -> Vec<Problem> {
    let duplicates = problems.iter_mut().filter(|problem| problem.code == codes::DUPLICATE_COLUMN);
    let mut places = None;
    for problem in duplicates {
        let places = places.get_or_insert_with(|| match parse_query(text) {
            Ok(query) => second_places(&query, text),
            Err(_) => HashMap::new(),
        });
        let name = problem.message.split('`').nth(1).unwrap_or_default();
        if let Some(place) = places.get(&name.to_lowercase()) {
            problem.range = place.clone();
        }
    }
    problems
}

/// The place of the column that has a name for the second time in its SELECT, by the name in lower case. Beside a `*`,
/// which may hold any name, one column of the name is enough.
fn second_places(query: &Query, text: &SqlText<'_>) -> HashMap<String, Range<usize>> {
    let mut places = Places { text, twice: HashMap::new(), beside_wildcard: HashMap::new() };
    let _ = walk::visit(query, &mut places);
    let Places { twice, mut beside_wildcard, .. } = places;
    beside_wildcard.extend(twice);
    beside_wildcard
}

struct Places<'a> {
    text: &'a SqlText<'a>,
    twice: HashMap<String, Range<usize>>,
    beside_wildcard: HashMap<String, Range<usize>>,
}

impl QueryVisitor for Places<'_> {
    fn select(&mut self, select: &Select) -> ControlFlow<()> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let has_wildcard = select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
        for item in &select.projection {
            let Some((name, range)) = self.named(item) else { continue };
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            if *times == 2 {
                self.twice.entry(name).or_insert(range);
            } else if has_wildcard {
                self.beside_wildcard.entry(name).or_insert(range);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Places<'_> {
    fn named(&self, item: &SelectItem) -> Option<(String, Range<usize>)> {
        let (name, span) = match item {
            SelectItem::ExprWithAlias { alias, .. } => (alias, alias.span),
            SelectItem::UnnamedExpr(expr @ Expr::Identifier(name)) => (name, expr.span()),
            SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(names)) => (names.last()?, expr.span()),
            _ => return None,
        };
        Some((lower(name), self.text.token_range(span)?))
    }
}

fn lower(name: &Ident) -> String {
    name_parts(&ObjectName::from(vec![name.clone()])).concat().to_lowercase()
}
