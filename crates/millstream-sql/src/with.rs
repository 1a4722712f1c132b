//! The names that WITH clauses define, as they come into reach while a query is walked.

use datafusion::sql::sqlparser::ast::{ObjectName, Query};

use crate::parse::name_parts;

/// The names of WITH clauses that are in reach, with a value for each. [`Self::open`] and [`Self::close`] are called
/// where a walk enters and leaves a query. A query's definitions are walked before its body, so the first queries inside
/// of it are its definitions.
#[derive(Debug)]
pub(crate) struct WithNames<V> {
    scopes: Vec<Scope<V>>,
}

#[derive(Debug)]
struct Scope<V> {
    names: Vec<String>,
    /// Whether the names are in reach of their own definitions.
    is_recursive: bool,
    /// The values of the names whose definitions the walk has left.
    values: Vec<V>,
}

impl<V> Default for WithNames<V> {
    fn default() -> Self {
        Self { scopes: Vec::new() }
    }
}

impl<V: Copy> WithNames<V> {
    pub(crate) fn open(&mut self, query: &Query) {
        let definitions = query.with.iter().flat_map(|with| &with.cte_tables);
        let name = |definition: &datafusion::sql::sqlparser::ast::Cte| {
            name_parts(&ObjectName::from(vec![definition.alias.name.clone()])).concat()
        };
        self.scopes.push(Scope {
            names: definitions.map(name).collect(),
            is_recursive: query.with.as_ref().is_some_and(|with| with.recursive),
            values: Vec::new(),
        });
    }

    /// Leaves the innermost query. Where it defines a name, the name stands for `value` from now on, and this is true.
    pub(crate) fn close(&mut self, value: V) -> bool {
        self.scopes.pop();
        match self.scopes.last_mut() {
            Some(outer) if outer.values.len() < outer.names.len() => {
                outer.values.push(value);
                true
            }
            _ => false,
        }
    }

    /// What the name stands for: `None` when no WITH defines it, and `Some(None)` inside of its own definition.
    pub(crate) fn find(&self, name: &str) -> Option<Option<V>> {
        self.scopes.iter().rev().find_map(|scope| {
            let defined = scope.names.iter().zip(&scope.values);
            let found = defined.rev().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let is_known = scope.is_recursive && scope.names.iter().any(|known| known == name);
            found.map(Some).or(is_known.then_some(None))
        })
    }
}
