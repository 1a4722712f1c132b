//! Where a dataset goes: a Parquet file, or one more version of a Delta table.

use std::{
    fs,
    path::{Path, PathBuf},
};

use millstream_lake::{FileTable, LakeError};
use millstream_ml::dataset::Manifest;
use millstream_project::{DatasetSpec, OutputFormat};
use millstream_types::{TableName, TimestampMicros};

use super::{build::DatasetRequest, record::version_in};
use crate::{EngineError, engine::World};

/// What the name of a Parquet file may end with.
const PARQUET_ENDINGS: [&str; 2] = ["parquet", "pq"];

/// Where a dataset is written.
pub(super) enum Output {
    /// A file that the call or the definition names; what was there before is replaced.
    File(PathBuf),
    /// The next file in the project's own folder, which keeps all versions.
    Own(PathBuf),
    /// A folder that keeps all versions, each a file and a version of the table.
    Delta(PathBuf, FileTable),
}

/// A version of a Delta table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaVersion {
    pub folder: PathBuf,
    pub version: i64,
}

impl Output {
    /// What the call says, what the definition says, or the next one in the project's own folder.
    pub(super) async fn find(
        world: &World,
        spec: &DatasetSpec,
        request: &DatasetRequest,
    ) -> Result<Self, EngineError> {
        if let Some(path) = &request.output {
            return file(spec, absolute(path)?);
        }
        let Some(output) = &spec.output else { return own(world, spec).await };
        let path = &output.path.value;
        if path.contains("://") {
            return Err(EngineError::Request {
                message: format!("`{}` cannot be written to `{path}`", spec.name),
                hint: Some("datasets are written to folders of this machine".to_owned()),
            });
        }
        let path = absolute(&world.project.spec.root.join(path))?;
        match output.format {
            OutputFormat::Parquet => file(spec, path),
            OutputFormat::Delta => {
                let writer = format!("millstream/{}/{}", world.project.spec.name, spec.name);
                let table = FileTable::open(&path, &table_name(spec)?, writer).await;
                let table = table.map_err(|error| told(&path, error))?;
                Ok(Self::Delta(path, table))
            }
        }
    }

    /// The file, or the folder of the files.
    pub(super) fn place(&self) -> &Path {
        match self {
            Self::File(path) | Self::Own(path) | Self::Delta(path, _) => path,
        }
    }

    /// Whether the place is a folder of files that are named by their hash.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self, Self::Delta(..))
    }

    /// Whether another file with the same rows makes this one needless.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Makes the folder that the file or the table lies in.
    pub(super) fn make_folder(&self) -> Result<(), EngineError> {
        let Some(folder) = self.place().parent() else { return Ok(()) };
        fs::create_dir_all(folder).map_err(|source| EngineError::File {
            verb: "create",
            path: folder.to_owned(),
            source,
        })
    }

    /// Makes the file the newest version of the Delta table, if it is to be one.
    pub(super) async fn publish(
        &self,
        file: &Path,
        manifest: &Manifest,
        at: TimestampMicros,
    ) -> Result<Option<DeltaVersion>, EngineError> {
        let Self::Delta(folder, table) = self else { return Ok(None) };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let odd = manifest.columns.iter().filter(|column| column.statistics.not_finite > 0);
        let odd: Vec<&str> = odd.map(|column| column.name.as_str()).collect();
        let version = table.publish(&name, &odd, at).await.map_err(|error| told(folder, error))?;
        Ok(Some(DeltaVersion { folder: folder.clone(), version }))
    }
}

/// A file that is there is replaced if an earlier build of the dataset wrote it, as its manifest tells.
fn file(spec: &DatasetSpec, path: PathBuf) -> Result<Output, EngineError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    if let Some(ending) = ending.filter(|ending| !PARQUET_ENDINGS.contains(&ending.as_str())) {
        return Err(EngineError::Request {
            message: format!(
                "`{}` is written as Parquet, whose files do not end with `.{ending}`",
                spec.name
            ),
            hint: Some("end the file's name with `.parquet`".to_owned()),
        });
    }
    let manifest = Manifest::path_of(&path);
    let is_own = || match manifest.exists() {
        true => Manifest::read(&manifest).is_ok_and(|manifest| manifest.definition.name == spec.name),
        // A build that was killed before it wrote the manifest.
        false => version_in(&path).is_some(),
    };
    if fs::symlink_metadata(&path).is_err() || is_own() {
        return Ok(Output::File(path));
    }
    Err(EngineError::Request {
        message: format!("`{}` is there already, and no build of `{}` wrote it", path.display(), spec.name),
        hint: Some("name another file, or remove this one and its manifest".to_owned()),
    })
}

async fn own(world: &World, spec: &DatasetSpec) -> Result<Output, EngineError> {
    let mut next = world.newest_dataset(&spec.name).await?.unwrap_or(0) + 1;
    loop {
        let path = world.state_dir.join("datasets").join(&spec.name).join(format!("v{next}.parquet"));
        // A file of a version that was not recorded, or whose record is lost, stays.
        if !path.exists() {
            return Ok(Output::Own(absolute(&path)?));
        }
        next += 1;
    }
}

fn absolute(path: &Path) -> Result<PathBuf, EngineError> {
    std::path::absolute(path).map_err(|source| EngineError::File {
        verb: "find",
        path: path.to_owned(),
        source,
    })
}

fn table_name(spec: &DatasetSpec) -> Result<TableName, EngineError> {
    let name = TableName::new("dataset", &spec.name);
    name.map_err(|_| EngineError::Worker { doing: "naming a table" })
}

/// What can be done where a Delta table will not do.
fn told(folder: &Path, error: LakeError) -> EngineError {
    let hint = match &error {
        LakeError::Schema { .. } => "leave the column out, or write `format: parquet`",
        LakeError::InvalidChange { .. } | LakeError::Unsupported { .. } => "name another folder in `output`",
        _ => return error.into(),
    };
    EngineError::Request {
        message: format!("`{}` cannot be the dataset's Delta table: {error}", folder.display()),
        hint: Some(hint.to_owned()),
    }
}
