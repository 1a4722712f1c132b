//! Two versions of a dataset side by side: rows, columns, distributions, and what made the difference.

mod distribution;
mod rows;
mod text;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::manifest::{ColumnType, Definition, Manifest};
use crate::DatasetError;

/// A data file and its manifest.
#[derive(Clone, Debug)]
pub struct DatasetFile {
    pub data: PathBuf,
    pub manifest: Manifest,
}

/// How one version of a dataset differs from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetDiff {
    pub before: String,
    pub after: String,
    pub rows: RowDiff,
    pub columns: ColumnDiff,
    /// The shift of each column that both versions have with the same type, in the order of the newer version.
    pub distributions: Vec<Shift>,
    pub inputs: Vec<InputChange>,
    /// The parts of the definition that are not equal, as `view orders` or `split`.
    pub definitions: Vec<String>,
}

/// Rows, told apart by key and time; rows of one key and time are compared in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDiff {
    pub before: u64,
    pub after: u64,
    /// What became of the rows; `None` when the two versions do not have the same key and time columns.
    pub matched: Option<MatchedRows>,
}

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedRows {
    pub added: u64,
    pub removed: u64,
    /// Rows that are in both versions, with another value in a column that both have with the same type.
    pub changed: u64,
}

/// Columns by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDiff {
    pub added: Vec<ColumnType>,
    pub removed: Vec<ColumnType>,
    pub retyped: Vec<Retyped>,
}

/// A column of another type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retyped {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// How the values of a column moved. Nulls, NaN and infinities are left out of all figures but `nulls`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    pub name: String,
    /// The share of nulls before and after.
    pub nulls: [f64; 2],
    /// Population stability index over the older version's deciles, or over categories: below 0.1 is little, above
    /// 0.25 is much.
    pub psi: Option<f64>,
    /// Between 0 and 1. For numbers and times the largest distance of the cumulative shares (Kolmogorov-Smirnov), for
    /// categories half the sum of the distances of shares (total variation).
    pub distance: Option<f64>,
    /// The move of the mean, in standard deviations of the older version.
    pub mean_shift: Option<f64>,
}

/// A table that was read at another version, or by one of the two only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputChange {
    pub table: String,
    pub before: Option<i64>,
    pub after: Option<i64>,
}

impl DatasetFile {
    /// A data file with the manifest beside it.
    ///
    /// # Errors
    ///
    /// One of the two cannot be read, or they do not belong together.
    pub fn open(data: &Path) -> Result<Self, DatasetError> {
        Self::with_manifest(data, Manifest::read(&Manifest::path_of(data))?)
    }

    /// A data file with a manifest that is kept elsewhere.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is of another length than the manifest tells.
    pub fn with_manifest(data: &Path, manifest: Manifest) -> Result<Self, DatasetError> {
        let unreadable = |source| DatasetError::Unreadable { path: data.into(), source };
        let bytes = std::fs::metadata(data).map_err(|source| unreadable(source.into()))?.len();
        if bytes != manifest.data.bytes {
            let reason = format!("it has {bytes} bytes, its manifest tells of {}", manifest.data.bytes);
            return Err(unreadable(reason.into()));
        }
        Ok(Self { data: data.into(), manifest })
    }

    /// Reads the whole data file and compares its hash with the manifest's.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its bytes changed since it was written.
    pub fn verify(&self) -> Result<(), DatasetError> {
        let unreadable = |source| DatasetError::Unreadable { path: self.data.clone(), source };
        let mut file = File::open(&self.data).map_err(|source| unreadable(source.into()))?;
        let found = self.manifest.data.difference(&mut file).map_err(|source| unreadable(source.into()))?;
        found.map_or(Ok(()), |difference| Err(unreadable(format!("it {difference}").into())))
    }
}

/// Compares two versions of a dataset, or two datasets.
///
/// # Errors
///
/// A data file cannot be read.
pub fn diff(before: &DatasetFile, after: &DatasetFile) -> Result<DatasetDiff, DatasetError> {
    let columns = column_diff(&before.manifest, &after.manifest);
    let common: Vec<&str> = after
        .manifest
        .columns
        .iter()
        .filter(|column| {
            let mut others = before.manifest.columns.iter();
            others.any(|other| other.name == column.name && other.data_type == column.data_type)
        })
        .map(|column| column.name.as_str())
        .collect();
    let is_known = |identity: &&Vec<String>| identity.iter().all(|name| common.contains(&name.as_str()));
    let identity = before.manifest.identity.as_ref().filter(is_known);
    let identity = identity.filter(|identity| after.manifest.identity.as_ref() == Some(*identity));
    let matched = identity.map(|identity| rows::compare(before, after, identity, &common)).transpose()?;
    let distributions =
        common.iter().map(|name| distribution::shift(before, after, name)).collect::<Result<_, _>>()?;
    Ok(DatasetDiff {
        before: before.manifest.version.clone(),
        after: after.manifest.version.clone(),
        rows: RowDiff { before: before.manifest.data.rows, after: after.manifest.data.rows, matched },
        columns,
        distributions,
        inputs: input_changes(&before.manifest.definition, &after.manifest.definition),
        definitions: definition_changes(&before.manifest.definition, &after.manifest.definition),
    })
}

fn column_diff(before: &Manifest, after: &Manifest) -> ColumnDiff {
    let find = |manifest: &Manifest, name: &str| {
        manifest.columns.iter().find(|column| column.name == name).map(|column| column.data_type.clone())
    };
    let missing = |from: &Manifest, other: &Manifest| {
        let columns = from.columns.iter().filter(|column| find(other, &column.name).is_none());
        let named = |column: &super::manifest::DatasetColumn| ColumnType {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
        };
        columns.map(named).collect()
    };
    let retyped = |column: &super::manifest::DatasetColumn| {
        let after = find(after, &column.name).filter(|after| *after != column.data_type)?;
        Some(Retyped { name: column.name.clone(), before: column.data_type.clone(), after })
    };
    ColumnDiff {
        added: missing(after, before),
        removed: missing(before, after),
        retyped: before.columns.iter().filter_map(retyped).collect(),
    }
}

fn input_changes(before: &Definition, after: &Definition) -> Vec<InputChange> {
    let version = |definition: &Definition, table: &str| {
        definition.inputs.iter().find(|input| input.table == table).map(|input| input.version)
    };
    let mut tables: Vec<&str> =
        before.inputs.iter().chain(&after.inputs).map(|input| input.table.as_str()).collect();
    tables.sort_unstable();
    tables.dedup();
    let change = |table: &str| {
        let (before, after) = (version(before, table), version(after, table));
        (before != after).then(|| InputChange { table: table.into(), before, after })
    };
    tables.into_iter().filter_map(change).collect()
}

fn definition_changes(before: &Definition, after: &Definition) -> Vec<String> {
    let parts = [
        ("name", before.name != after.name),
        ("code", before.code_version != after.code_version),
        ("labels", before.labels != after.labels),
        ("split", before.split != after.split),
        ("encodings", before.encodings != after.encodings),
        ("features", before.service.features != after.service.features),
    ];
    let mut changes: Vec<String> =
        parts.into_iter().filter(|(_, is_changed)| *is_changed).map(|(part, _)| part.to_owned()).collect();
    let (old, new) = (&before.service, &after.service);
    changes.extend(changed("view", &old.views, &new.views, |view| &view.name));
    changes.extend(changed("on-demand feature", &old.on_demand, &new.on_demand, |feature| &feature.name));
    changes
}

/// The names of items that are in one list only or differ.
fn changed<'a, T: PartialEq>(
    what: &str,
    before: &'a [T],
    after: &'a [T],
    name: impl Fn(&'a T) -> &'a String,
) -> Vec<String> {
    let find = |items: &'a [T], wanted: &str| items.iter().find(|item| name(item) == wanted);
    let mut names: Vec<&String> = before.iter().chain(after).map(&name).collect();
    names.sort_unstable();
    names.dedup();
    let is_changed = |wanted: &&String| find(before, wanted) != find(after, wanted);
    names.into_iter().filter(is_changed).map(|name| format!("{what} {name}")).collect()
}
