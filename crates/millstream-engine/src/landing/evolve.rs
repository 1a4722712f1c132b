//! Which columns a landing writes, and which changes of the source's columns are accepted. Pure.

use millstream_connector::FoundColumn;
use millstream_project::{ContractSpec, Evolution};
use millstream_types::{ColumnType, Field, LANDING_COLUMNS};

/// The columns to land, and how they differ from the table's present ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evolved {
    /// The contract's columns in its order, then columns accepted earlier, then those accepted now.
    pub columns: Vec<Field>,
    /// What changed against the table, in the order in which it was found. Empty for a new table.
    pub changes: Vec<Change>,
}

impl Evolved {
    /// Whether stored values must be rewritten: the file format cannot hold two types of one column.
    pub(crate) fn needs_rewrite(&self) -> bool {
        self.changes.iter().any(|change| matches!(change.kind, ChangeKind::Widened { .. }))
    }
}

/// One accepted change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub column: String,
    pub kind: ChangeKind,
    /// The part that brought it; `None` when the contract itself was edited.
    pub part: Option<String>,
}

/// What an accepted change does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ChangeKind {
    Added { column_type: ColumnType },
    Widened { from: ColumnType, to: ColumnType },
}

impl Change {
    /// One line for people and for the catalog.
    pub(crate) fn text(&self) -> String {
        let what = match &self.kind {
            ChangeKind::Added { column_type } => format!("added column `{}` ({column_type})", self.column),
            ChangeKind::Widened { from, to } => format!("widened `{}` from {from} to {to}", self.column),
        };
        match &self.part {
            Some(part) => format!("{what}, first seen in {part}"),
            None => format!("{what}, by the contract"),
        }
    }
}

/// A change that the contract does not allow; it halts the source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub message: String,
    pub hint: String,
}

/// Decides over the columns of all parts that are about to land.
///
/// `table` holds the table's present columns without the landing columns, `None` before the first landing.
/// `found` pairs each part with its columns; a part without any (an empty file) says nothing.
pub(crate) fn evolve(
    contract: &ContractSpec,
    table: Option<&[Field]>,
    found: &[(String, Vec<FoundColumn>)],
) -> Result<Evolved, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut evolved = against_table(contract, table, &mut refusals);
    for (part, columns) in found.iter().filter(|(_, columns)| !columns.is_empty()) {
        for column in columns {
            against_part(contract, &mut evolved, part, column, &mut refusals);
        }
        missing_from_part(contract, part, columns, &mut refusals);
    }
    if refusals.is_empty() { Ok(evolved) } else { Err(refusals) }
}

/// The contract's columns, reconciled with what the table holds already.
fn against_table(contract: &ContractSpec, table: Option<&[Field]>, refusals: &mut Vec<Refusal>) -> Evolved {
    let mut evolved = Evolved::default();
    for (name, spec) in &contract.columns {
        let promised = &spec.column_type;
        let present = table.map(|columns| columns.iter().find(|field| &field.name == name));
        let column_type = match present {
            // The zone says how a naive text is read, not what is stored.
            Some(Some(field)) if same_storage(&field.column_type, promised) => promised.clone(),
            // A part may have widened the column. Otherwise the contract itself was narrowed, and rows that are stored
            // may not fit what it promises now.
            Some(Some(field))
                if contract.evolution == Evolution::Widen && promised.widens_to(&field.column_type) =>
            {
                field.column_type.clone()
            }
            Some(Some(field)) if field.column_type.widens_to(promised) => {
                let kind = ChangeKind::Widened { from: field.column_type.clone(), to: promised.clone() };
                evolved.changes.push(Change { column: name.clone(), kind, part: None });
                promised.clone()
            }
            Some(Some(field)) => {
                refusals.push(Refusal {
                    message: format!(
                        "column `{name}` is {} in the table and {promised} in the contract",
                        field.column_type
                    ),
                    hint: "land the source anew (select it, with `--full-refresh`), or take the type back"
                        .into(),
                });
                promised.clone()
            }
            Some(None) => {
                let kind = ChangeKind::Added { column_type: promised.clone() };
                evolved.changes.push(Change { column: name.clone(), kind, part: None });
                promised.clone()
            }
            None => promised.clone(),
        };
        evolved.columns.push(Field { name: name.clone(), column_type });
    }
    let earlier =
        table.unwrap_or_default().iter().filter(|field| !contract.columns.contains_key(&field.name));
    evolved.columns.extend(earlier.cloned());
    evolved
}

fn against_part(
    contract: &ContractSpec,
    evolved: &mut Evolved,
    part: &str,
    column: &FoundColumn,
    refusals: &mut Vec<Refusal>,
) {
    let name = &column.name;
    if LANDING_COLUMNS.contains(&name.as_str()) {
        refusals.push(Refusal {
            message: format!("{part} has a column `{name}`, a name that landing itself uses"),
            hint: "rename the column where the data is made".into(),
        });
        return;
    }
    let Some(known) = evolved.columns.iter_mut().find(|field| &field.name == name) else {
        if contract.evolution == Evolution::Freeze {
            refusals.push(Refusal {
                message: format!("{part} has a further column `{name}` ({})", column.column_type),
                hint: format!(
                    "add `{name}: {{type: {}}}` to the contract, or set `evolution: add_columns`",
                    column.column_type
                ),
            });
        } else {
            evolved.columns.push(Field { name: name.clone(), column_type: column.column_type.clone() });
            let kind = ChangeKind::Added { column_type: column.column_type.clone() };
            evolved.changes.push(Change { column: name.clone(), kind, part: Some(part.to_owned()) });
        }
        return;
    };
    let wider = column.declared
        && !same_storage(&known.column_type, &column.column_type)
        && known.column_type.widens_to(&column.column_type);
    // A wider declared type without permission is no refusal by itself: each value is coerced, and those
    // that do not fit are rejected one by one.
    if wider && contract.evolution == Evolution::Widen {
        let kind = ChangeKind::Widened { from: known.column_type.clone(), to: column.column_type.clone() };
        known.column_type = column.column_type.clone();
        evolved.changes.push(Change { column: name.clone(), kind, part: Some(part.to_owned()) });
    }
}

/// A promised column that a part lacks: under `freeze` always a refused change, otherwise nulls are landed.
fn missing_from_part(
    contract: &ContractSpec,
    part: &str,
    columns: &[FoundColumn],
    refusals: &mut Vec<Refusal>,
) {
    if contract.evolution != Evolution::Freeze {
        return;
    }
    for name in contract.columns.keys() {
        if !columns.iter().any(|column| &column.name == name) {
            refusals.push(Refusal {
                message: format!("{part} has no column `{name}`"),
                hint: format!(
                    "restore the column, take `{name}` out of the contract, or set `evolution: add_columns` \
                     to land nulls"
                ),
            });
        }
    }
}

fn same_storage(a: &ColumnType, b: &ColumnType) -> bool {
    matches!((a, b), (ColumnType::Timestamp { .. }, ColumnType::Timestamp { .. })) || a == b
}
