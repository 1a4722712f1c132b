//! Which columns hold personal data: those that a source's contract marks with `pii`, and all that SQL makes of them.

use std::collections::{BTreeMap, HashSet};

use millstream_ml::DatasetError;
use millstream_project::SourceSpec;
use millstream_sql::{Analysis, ColumnInputs};
use millstream_types::TableName;

use crate::{EngineError, Project};

/// The columns of a table of rejected rows that hold a row as it came.
const ORIGINALS: [&str; 2] = ["_row", "_text"];

/// The personal columns of every source and table; those without any are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Personal {
    columns: BTreeMap<TableName, HashSet<String>>,
    none: HashSet<String>,
}

impl Personal {
    /// A column is personal when a value of a personal column enters it, however it was computed. Columns that only
    /// choose rows or values give nothing of themselves away.
    pub(crate) fn of(sources: &[SourceSpec], analysis: &Analysis) -> Self {
        let mut personal = Self::default();
        for source in sources {
            let marked = source.contract.columns.values().filter(|column| column.pii);
            personal.insert(source.table(), marked.map(|column| column.name.clone()).collect());
        }
        if personal.columns.is_empty() {
            return personal;
        }
        // Each table stands behind those that it reads.
        for (name, table) in &analysis.tables {
            let is_personal = |inputs: &ColumnInputs| {
                inputs.direct.keys().any(|input| personal.of_table(&input.table).contains(&input.column))
            };
            let columns = table.lineage().columns.iter().filter(|(_, inputs)| is_personal(inputs));
            let columns: HashSet<String> = columns.map(|(column, _)| column.clone()).collect();
            personal.insert(name.clone(), columns);
        }
        personal
    }

    pub(crate) fn of_table(&self, table: &TableName) -> &HashSet<String> {
        self.columns.get(table).unwrap_or(&self.none)
    }

    fn insert(&mut self, table: TableName, columns: HashSet<String>) {
        if columns.is_empty() {
            return;
        }
        self.columns.insert(table.rejected(), ORIGINALS.map(str::to_owned).into());
        self.columns.insert(table, columns);
    }
}

impl Project {
    /// Whether the SQL of a table reads a personal column, through views too: then its failures may quote personal values.
    fn reads_personal(&self, table: &TableName) -> bool {
        let Some(analysis) = self.analysis.tables.get(table) else { return false };
        let lineage = analysis.lineage();
        let of_columns = lineage
            .columns
            .values()
            .flat_map(|inputs| inputs.direct.keys().chain(inputs.indirect.iter().map(|(column, _)| column)));
        let mut columns = of_columns.chain(lineage.rows.iter().map(|(column, _)| column));
        columns.any(|column| self.personal.of_table(&column.table).contains(&column.column))
            || analysis.dependencies.iter().any(|input| self.is_view(input) && self.reads_personal(input))
    }

    /// The error as it may be told of a step of a table or a source.
    pub(crate) fn told_of(&self, table: &TableName, error: EngineError) -> EngineError {
        let personal = self.personal.of_table(table);
        let error = error.masked(personal);
        let is_personal = match self.source(table) {
            Some(_) => !personal.is_empty(),
            None => self.reads_personal(table),
        };
        if is_personal { error.without_values() } else { error }
    }

    /// Whether these tables have personal columns, or are views that read some.
    fn hold_personal<'t>(&self, mut tables: impl Iterator<Item = &'t TableName>) -> bool {
        tables.any(|table| {
            !self.personal.of_table(table).is_empty() || (self.is_view(table) && self.reads_personal(table))
        })
    }

    /// The error as it may be told of views of features that have these names.
    pub(crate) fn told_of_views<'v>(
        &self,
        mut views: impl Iterator<Item = &'v str>,
        error: EngineError,
    ) -> EngineError {
        let specs = &self.spec.features.views;
        let is_personal = |name: &str| match specs.iter().find(|spec| spec.name == name) {
            Some(spec) => self.hold_personal(std::iter::once(&spec.from.value)),
            // Nothing here tells which table a view of an earlier project reads.
            None => !self.personal.columns.is_empty(),
        };
        if views.any(is_personal) { error.without_values() } else { error }
    }

    /// The error as it may be told of a dataset that reads these tables and views.
    pub(crate) fn told_of_dataset<'v>(
        &self,
        tables: &[TableName],
        views: impl Iterator<Item = &'v str>,
        error: EngineError,
    ) -> EngineError {
        let error = self.told_of_views(views, self.without_personal_keys(error));
        if self.hold_personal(tables.iter()) { error.without_values() } else { error }
    }

    /// The same error without the key of an entity, where it is personal.
    pub(crate) fn without_personal_keys(&self, error: EngineError) -> EngineError {
        let EngineError::Dataset { name, source } = error else { return error };
        let DatasetError::Outgrown { view, entity, .. } = &source else {
            return EngineError::Dataset { name, source };
        };
        let personal = match self.spec.features.views.iter().find(|spec| spec.name == *view) {
            // What a query of the view's own makes of personal columns is not followed.
            Some(view) if view.sql.is_some() && self.hold_personal(std::iter::once(&view.from.value)) => {
                entity.columns().map(str::to_owned).collect()
            }
            Some(view) => self.personal.of_table(&view.from.value).clone(),
            None => HashSet::new(),
        };
        EngineError::Dataset { name, source: source.masked(&personal) }
    }
}
