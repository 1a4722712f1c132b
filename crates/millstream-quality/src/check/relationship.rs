//! `relationship`: the value occurs in a column of another table.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use millstream_types::TableName;

use super::{Problem, RowCheck, Rows, type_name, wrong_type};
use crate::{
    KeySet, QualityError, Relation, Relations, column::Column, key::is_key_type, key_set::comparable,
};

#[derive(Debug)]
struct Relationship {
    column: Column,
    relation: Relation,
    keys: Arc<KeySet>,
}

/// Without `relations` only the column itself is checked.
pub(super) fn compile(
    column: &Column,
    table: &TableName,
    to_column: &str,
    relations: Option<&Relations>,
) -> Result<Box<dyn RowCheck>, Problem> {
    if !is_key_type(column.data_type()) {
        return Err(wrong_type(column, "a type whose values can be keys"));
    }
    let relation = Relation { table: table.clone(), column: to_column.to_owned() };
    let keys = match relations {
        Some(relations) => relations
            .get(&relation)
            .cloned()
            .ok_or_else(|| Problem::new(format!("the keys of `{relation}` were not loaded")))?,
        None => Arc::new(KeySet::new(column.data_type())),
    };
    if !comparable(column.data_type(), &keys.data_type) {
        let (ours, theirs) = (type_name(column.data_type()), type_name(&keys.data_type));
        return Err(Problem::with_hint(
            format!("`{}` is {ours}, but `{relation}` is {theirs}", column.name()),
            "give both columns the same type",
        ));
    }
    Ok(Box::new(Relationship { column: column.clone(), relation, keys }))
}

impl RowCheck for Relationship {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        self.keys.missing(self.column.array(rows.typed))
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let value = self.column.shown(self.column.array(rows.typed), row);
        format!("`{}` {value} does not occur in `{}`", self.column.name(), self.relation)
    }
}
