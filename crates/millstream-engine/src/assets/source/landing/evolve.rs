//! Which columns a landing writes, and which changes of the source's columns are accepted. Pure.

use std::collections::HashMap;

use indexmap::{IndexMap, IndexSet};
use millstream_connector::{Evidence, FoundColumn};
use millstream_project::{ContractSpec, Evolution};
use millstream_types::{ColumnType, Field, unfit_member};

use super::names::refused_name;

/// The most refusals that a halt names.
const REFUSALS_SHOWN: usize = 4;

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
    /// The part that brought the change; `None` when the contract itself was edited.
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

/// A part that is about to land, as it describes itself.
#[derive(Clone, Debug)]
pub(crate) struct FoundPart {
    pub id: String,
    pub columns: Vec<FoundColumn>,
    /// Whether `columns` names every column of the part.
    pub names_every_column: bool,
}

/// Decides over the columns of all parts that are about to land.
///
/// `table` holds the table's present columns without the landing columns, `None` before the first landing.
/// A part without any column (an empty file) says nothing.
pub(crate) fn evolve(
    contract: &ContractSpec,
    table: Option<&[Field]>,
    found: &[FoundPart],
) -> Result<Evolved, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut evolved = against_table(contract, table, &mut refusals);
    let evidence = joined(found);
    for part in found.iter().filter(|part| !part.columns.is_empty()) {
        if let Some(refusal) = misread(contract, &part.id, &part.columns) {
            refusals.push(refusal);
            continue;
        }
        for column in &part.columns {
            let column = widest(column, &evidence);
            against_part(contract, &mut evolved, &part.id, &column, &mut refusals);
        }
        if part.names_every_column {
            missing_from_part(contract, &part.id, &part.columns, &mut refusals);
        }
    }
    if refusals.is_empty() { Ok(evolved) } else { Err(refusals) }
}

/// Decides over columns of a part that no sample had; they come behind all others, so that what was written before them
/// stays as it is.
pub(crate) fn evolve_further(
    contract: &ContractSpec,
    evolved: &Evolved,
    part: &str,
    further: &[FoundColumn],
) -> Result<Evolved, Vec<Refusal>> {
    let (mut evolved, mut refusals) = (evolved.clone(), Vec::new());
    for column in further {
        against_part(contract, &mut evolved, part, column, &mut refusals);
    }
    if refusals.is_empty() { Ok(evolved) } else { Err(refusals) }
}

/// What the samples of all parts show together of each column: which part comes first must not decide over its type.
fn joined(found: &[FoundPart]) -> HashMap<&str, Evidence> {
    let mut evidence: HashMap<&str, Evidence> = HashMap::new();
    for column in found.iter().flat_map(|part| &part.columns) {
        if let Some(shown) = &column.evidence {
            let known = evidence.entry(&column.name).or_default();
            *known = std::mem::take(known).join(shown.clone());
        }
    }
    evidence
}

/// The column with the type that holds what all parts show.
fn widest(column: &FoundColumn, evidence: &HashMap<&str, Evidence>) -> FoundColumn {
    match evidence.get(column.name.as_str()) {
        Some(evidence) if !column.is_declared() => {
            FoundColumn::inferred(column.name.clone(), evidence.clone())
        }
        _ => column.clone(),
    }
}

/// The contract's columns, reconciled with what the table holds already.
fn against_table(contract: &ContractSpec, table: Option<&[Field]>, refusals: &mut Vec<Refusal>) -> Evolved {
    let mut evolved = Evolved::default();
    for (name, spec) in &contract.columns {
        let promised = &spec.column_type;
        let present = table.map(|columns| columns.iter().find(|field| &field.name == name));
        let column_type = match present {
            // Stored rows do not change with the zone, so that the same text would stand for two instants.
            Some(Some(field)) if is_read_otherwise(&field.column_type, promised) => {
                refusals.push(Refusal {
                    message: format!(
                        "column `{name}` is {promised} in the contract, and times without an offset landed as {} before",
                        field.column_type
                    ),
                    hint: "land the source anew (select it, with `--full-refresh`), or take the zone back".into(),
                });
                promised.clone()
            }
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
        if !matches!(present, Some(Some(_)))
            && let Some(refusal) = refused_name("the contract", name, &evolved.columns)
        {
            refusals.push(refusal);
        }
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
    let Some(known) = evolved.columns.iter_mut().find(|field| &field.name == name) else {
        if let Some(refusal) = refused_name(part, name, &evolved.columns) {
            refusals.push(refusal);
        } else if let Some(reason) = unfit_member(&column.column_type) {
            refusals.push(Refusal {
                message: format!("{part} has a column `{name}` that tables cannot hold: {reason}"),
                hint: format!("add `{name}: {{type: string}}` to the contract to land it as JSON"),
            });
        } else if contract.evolution == Evolution::Freeze {
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
    let wider = column.is_declared()
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

/// A part that was read by the wrong rules: a whole line of names, or the first bytes of another format, became one
/// column's name. To accept such a column would help nobody, whatever the contract allows.
fn misread(contract: &ContractSpec, part: &str, columns: &[FoundColumn]) -> Option<Refusal> {
    let name = &columns.first()?.name;
    if name.starts_with("PAR1") {
        let hint = "add `format: parquet` to the connector, or give the file the ending `.parquet`".into();
        return Some(Refusal { message: format!("{part} is Parquet, and was read as text"), hint });
    }
    let is_known = |column: &FoundColumn| contract.columns.contains_key(&column.name);
    let is_number = |column: &FoundColumn| column.name.trim().parse::<f64>().is_ok();
    if !contract.columns.is_empty() && !columns.iter().any(is_known) && columns.iter().any(is_number) {
        let names = contract.columns.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Some(Refusal {
            message: format!("{part} has a row where its names should be: `{}`", names_of(columns)),
            hint: format!(
                "for files without a line of names, add `csv: {{header: false, columns: [{names}]}}` to the connector"
            ),
        });
    }
    if columns.len() > 1 || contract.columns.contains_key(name) {
        return None;
    }
    let delimiter = [';', '\t', '|', ','].into_iter().find(|delimiter| {
        let mut names = name.split(*delimiter).map(|name| name.trim().trim_matches(['"', '\'']));
        name.contains(*delimiter) && names.any(|name| contract.columns.contains_key(name))
    })?;
    let shown = delimiter.escape_default();
    Some(Refusal {
        message: format!("{part} has a single column, `{name}`"),
        hint: format!(
            "its fields are separated by `{shown}`: add `csv: {{delimiter: \"{shown}\"}}` to the connector"
        ),
    })
}

/// The names as they stand in a line.
fn names_of(columns: &[FoundColumn]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(",")
}

/// What a halt says of refusals: the same one of many parts once, the first few, each with its way out.
pub(crate) fn told(refusals: &[Refusal], parts: &[FoundPart]) -> Refusal {
    // Refusals are grouped by their message without the part's name.
    let mut groups: IndexMap<&str, (&Refusal, usize)> = IndexMap::new();
    for refusal in refusals {
        let rest = parts.iter().find_map(|part| refusal.message.strip_prefix(part.id.as_str()));
        let rest = rest.filter(|rest| rest.starts_with(' ')).unwrap_or(&refusal.message);
        groups.entry(rest).or_insert((refusal, 0)).1 += 1;
    }
    let mut said: Vec<String> = Vec::new();
    let mut hints: IndexSet<&str> = IndexSet::new();
    for (rest, (refusal, count)) in groups.iter().take(REFUSALS_SHOWN) {
        hints.insert(&refusal.hint);
        said.push(match (count - 1, refusal.message.strip_suffix(rest)) {
            (0, _) | (_, None) => refusal.message.clone(),
            (1, Some(part)) => format!("{part} (and 1 other part){rest}"),
            (others, Some(part)) => format!("{part} (and {others} other parts){rest}"),
        });
    }
    if groups.len() > REFUSALS_SHOWN {
        said.push(format!("and {} more", groups.len() - REFUSALS_SHOWN));
    }
    Refusal { message: said.join("; "), hint: hints.into_iter().collect::<Vec<_>>().join("; ") }
}

/// A promised column that a part lacks: under `freeze` a refused change, otherwise nulls are landed.
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

/// Whether text that names no zone stands for other instants under the type `now` than under `before`.
fn is_read_otherwise(before: &ColumnType, now: &ColumnType) -> bool {
    let (ColumnType::Timestamp { zone: before }, ColumnType::Timestamp { zone: now }) = (before, now) else {
        return false;
    };
    before.as_deref().unwrap_or("UTC") != now.as_deref().unwrap_or("UTC")
}
