//! The columns of a view's events: one for each different operand or condition of its features.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DFSchemaRef};
use millstream_features::view::ColumnDefinition;
use millstream_project::{Diagnostic, Located};

use super::{
    aggregation::way_out,
    canonical,
    expression::{Expression, Planned},
    relation::Relation,
    types::kept_type,
};
use crate::{analyze::placed, codes, explain::Problem, type_name::type_name};

/// Columns as they are found to be needed.
pub(super) struct Columns<'a> {
    relation: &'a Relation,
    schema: DFSchemaRef,
    pub(super) found: Vec<ColumnDefinition>,
    /// The columns of the relation that each of the found columns is made of.
    pub(super) reads: Vec<BTreeSet<String>>,
    /// Warnings about expressions that have a meaning, but likely not the one that was meant.
    pub(super) warnings: Vec<Diagnostic>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(relation: &'a Relation) -> Self {
        // The names are unique, which is all that a schema asks for.
        let schema =
            DFSchema::try_from(relation.schema.as_ref().clone()).unwrap_or_else(|_| DFSchema::empty());
        Self { relation, schema: schema.into(), found: Vec::new(), reads: Vec::new(), warnings: Vec::new() }
    }

    /// The number of the column that holds an operand. `sql` is a column's name as it is, or an expression.
    pub(super) fn operand(&mut self, sql: &Located<String>) -> Result<usize, Vec<Diagnostic>> {
        let is_column = self.relation.data_type(&sql.value).is_some();
        let text = if is_column { canonical::name(&sql.value) } else { sql.value.clone() };
        let (written, planned) = self.plan(&text, sql, false)?;
        let Some(data_type) = kept_type(&planned.data_type) else {
            let message = format!("`{}` is {}", sql.value, type_name(&planned.data_type));
            return Err(vec![
                Diagnostic::error(codes::FEATURE_TYPE, message, sql.at)
                    .with_hint(way_out(&planned.data_type)),
            ]);
        };
        Ok(self.add(written, data_type, &planned))
    }

    /// The number of the column that says whether all of the conditions hold; `None` without conditions.
    pub(super) fn filter(
        &mut self,
        conditions: &[&Located<String>],
    ) -> Result<Option<usize>, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut parts = Vec::new();
        for sql in conditions {
            match self.plan(&sql.value, sql, true) {
                Ok(part) => parts.push(part),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let texts: Vec<&str> = parts.iter().map(|(text, _)| text.as_str()).collect();
        let written = match texts.as_slice() {
            [] => return Ok(None),
            [only] => (*only).to_owned(),
            several => several.iter().map(|text| format!("({text})")).collect::<Vec<_>>().join(" AND "),
        };
        let mut index = 0;
        for (_, planned) in &parts {
            index = self.add(written.clone(), DataType::Boolean, planned);
        }
        Ok(Some(index))
    }

    /// The number of the column of a condition that is counted.
    pub(super) fn condition(&mut self, sql: &Located<String>) -> Result<usize, Vec<Diagnostic>> {
        let (written, planned) = self.plan(&sql.value, sql, true)?;
        Ok(self.add(written, DataType::Boolean, &planned))
    }

    fn plan(
        &mut self,
        text: &str,
        sql: &Located<String>,
        is_condition: bool,
    ) -> Result<(String, Planned), Vec<Diagnostic>> {
        let refuse = |problems: Vec<Problem>| -> Vec<Diagnostic> {
            problems.into_iter().map(|problem| placed(problem, sql)).collect()
        };
        let expression = Expression::parse(text).map_err(|problem| refuse(vec![problem]))?;
        let planned = if is_condition {
            expression.plan_condition(&self.schema)
        } else {
            expression.plan(&self.schema)
        };
        let planned = planned.map_err(refuse)?;
        self.warnings.extend(planned.integer_division(&self.schema, sql));
        Ok((expression.canonical(), planned))
    }

    fn add(&mut self, sql: String, data_type: DataType, planned: &Planned) -> usize {
        if let Some(index) = self.found.iter().position(|known| known.sql == sql) {
            // A column of several conditions is made of what all of them read.
            if let Some(reads) = self.reads.get_mut(index) {
                reads.extend(planned.columns());
            }
            return index;
        }
        self.found.push(ColumnDefinition { sql, data_type });
        self.reads.push(planned.columns().into_iter().collect());
        self.found.len() - 1
    }
}
