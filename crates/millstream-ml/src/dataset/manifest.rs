//! The written record of a dataset, beside its data file: what it was made of and what came out.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use millstream_features::view::ServiceDefinition;
use serde::{Deserialize, Serialize};

use super::{
    encode::FittedColumn,
    hash::blake3_of,
    leakage::Finding,
    plan::{AsKnown, ColumnEncoding, DatasetPlan, InputVersion, SplitPlan},
    split::SideRows,
    statistics::ColumnStatistics,
    warning::Warning,
};
use crate::{Cause, DatasetError};

/// The version of the manifest's written form.
pub const MANIFEST_VERSION: u32 = 1;

/// A dataset's manifest. It holds no time, path or machine: the same inputs give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// BLAKE3 of the definition, in hexadecimal digits: equal for equal definitions over equal inputs.
    pub version: String,
    pub definition: Definition,
    pub data: DataFile,
    /// The columns that tell label rows apart: keys and time; none when the output lacks one of them.
    pub identity: Option<Vec<String>>,
    /// The number of rows on each side of the split.
    pub sides: Option<SideRows>,
    pub columns: Vec<DatasetColumn>,
    /// The fitted encodings, in the order of the columns. A model that was trained on the dataset is served with them.
    pub fitted: Vec<FittedColumn>,
    pub leakage: Vec<Finding>,
    pub warnings: Vec<Warning>,
}

/// All that decides on the rows and values of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    /// What computed the values.
    pub code_version: String,
    /// The versions of the tables that were read, ordered by table.
    pub inputs: Vec<InputVersion>,
    pub labels: LabelDefinition,
    pub service: ServiceDefinition,
    /// The split of the rows. Its column numbers are those of [`LabelDefinition::columns`].
    pub split: Option<SplitPlan>,
    pub encodings: Vec<ColumnEncoding>,
}

/// Where the label rows come from and what their columns mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelDefinition {
    pub origin: String,
    /// The BLAKE3 hash of the file that the label rows are from, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    pub columns: Vec<ColumnType>,
    /// For each view of the service, the columns that hold its key.
    pub keys: Vec<Vec<String>>,
    pub time: String,
    /// The time up to which events must have been known. A column number is that of `columns`.
    pub as_known: Option<AsKnown>,
    pub kept: Vec<String>,
    pub targets: Vec<String>,
}

/// A column and Arrow's text for its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnType {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

/// The data file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    pub rows: u64,
    pub bytes: u64,
    /// The BLAKE3 hash of the whole file, in hexadecimal digits.
    pub blake3: String,
}

impl DataFile {
    /// What tells `file` from this data file, in words that follow its name; none if it has the same bytes. A file of
    /// the same length is read to its end.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn difference(&self, file: &mut File) -> io::Result<Option<String>> {
        let bytes = file.metadata()?.len();
        if bytes != self.bytes {
            return Ok(Some(format!("has {bytes} bytes, its manifest tells of {}", self.bytes)));
        }
        let blake3 = blake3_of(file)?;
        let is_other = blake3 != self.blake3;
        Ok(is_other.then(|| format!("has the hash {blake3}, its manifest tells of {}", self.blake3)))
    }
}

/// One column of the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub role: Role,
    pub statistics: ColumnStatistics,
}

/// What a column is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Label,
    /// A label column that a model will learn.
    Target,
    Feature {
        view: String,
    },
    OnDemand,
    Split,
}

impl Definition {
    pub(crate) fn new(plan: &DatasetPlan) -> Self {
        let labels = &plan.labels;
        let name = |number: &usize| labels.schema.field(*number).name().clone();
        let column = |field: &std::sync::Arc<arrow::datatypes::Field>| ColumnType {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        };
        let mut inputs = plan.inputs.clone();
        inputs.sort();
        Self {
            name: plan.name.clone(),
            code_version: plan.code_version.clone(),
            inputs,
            labels: LabelDefinition {
                origin: labels.origin.clone(),
                blake3: labels.blake3.clone(),
                columns: labels.schema.fields().iter().map(column).collect(),
                keys: labels.keys.iter().map(|keys| keys.iter().map(name).collect()).collect(),
                time: name(&labels.time),
                as_known: labels.as_known,
                kept: labels.kept.iter().map(name).collect(),
                targets: labels.targets.iter().map(name).collect(),
            },
            service: plan.service.clone(),
            split: plan.split.clone(),
            encodings: plan.encodings.clone(),
        }
    }

    /// The identity of the dataset: 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// A value of the definition cannot be written as JSON.
    pub fn version(&self) -> Result<String, DatasetError> {
        let text = serde_json::to_vec(&(MANIFEST_VERSION, self));
        let text =
            text.map_err(|source| DatasetError::broken(format!("a definition has a text ({source})")))?;
        Ok(blake3::hash(&text).to_hex().to_string())
    }
}

impl Manifest {
    /// Where the manifest of a data file is.
    #[must_use]
    pub fn path_of(data: &Path) -> PathBuf {
        let mut name = data.as_os_str().to_owned();
        name.push(".manifest.json");
        name.into()
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The file is not there, is no manifest, or was written by a newer version.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let unreadable = |source: Cause| DatasetError::Unreadable { path: path.into(), source };
        let text = fs::read(path).map_err(|source| unreadable(source.into()))?;
        let format =
            serde_json::from_slice::<Format>(&text).map_err(|source| unreadable(source.into()))?.format;
        if format > MANIFEST_VERSION {
            let reason = format!("it has format {format}, this version reads up to {MANIFEST_VERSION}");
            return Err(unreadable(reason.into()));
        }
        serde_json::from_slice(&text).map_err(|source| unreadable(source.into()))
    }

    /// The bytes that are written.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, DatasetError> {
        let text = serde_json::to_vec_pretty(self);
        let mut text =
            text.map_err(|source| DatasetError::broken(format!("a manifest has a text ({source})")))?;
        text.push(b'\n');
        Ok(text)
    }
}

/// The part of a manifest that every version of the written form has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}
