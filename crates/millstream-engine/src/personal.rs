//! Which columns hold personal data: those that a source's contract marks with `pii`, and all that SQL makes of them.

use std::collections::{BTreeMap, HashSet};

use millstream_project::SourceSpec;
use millstream_sql::{Analysis, ColumnInputs};
use millstream_types::TableName;

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
