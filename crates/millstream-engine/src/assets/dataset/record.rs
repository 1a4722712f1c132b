//! What was built before, where its file is, and whether that still holds it.

use std::{
    fs::{self, File},
    io::{self, Seek},
    path::{Path, PathBuf},
};

use futures::future::BoxFuture;

use millstream_ml::dataset::{Manifest, VERSION_KEY};
use millstream_state::Artifact;
use millstream_types::TimestampMicros;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::DATASET;
use crate::{Engine, EngineError, assets::service::versions::with_version, engine::World};

/// One version of a dataset.
#[derive(Clone, Debug)]
pub struct BuiltDataset {
    pub dataset: String,
    pub version: i64,
    /// Of everything that defines the version.
    pub id: String,
    pub path: PathBuf,
    /// `churn_v1@2`; none for a dataset that lists features itself.
    pub service: Option<String>,
    pub at: TimestampMicros,
    pub rows: u64,
    /// Names and types.
    pub columns: Vec<(String, String)>,
    pub manifest: Manifest,
}

/// What a quick look finds at the place where a version's file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// A file of the version's length that says it is this version's.
    Present,
    Missing,
    /// Another file, as that of a later build, or one that was damaged.
    Changed,
}

impl BuiltDataset {
    fn new(world: &World, known: Artifact) -> Result<Self, EngineError> {
        let manifest = manifest(&known)?;
        let columns = manifest.columns.iter();
        Ok(Self {
            version: known.version,
            path: world.dataset_file(&known)?,
            id: known.hash,
            service: known.made_of,
            at: known.at,
            rows: manifest.data.rows,
            columns: columns.map(|column| (column.name.clone(), column.data_type.clone())).collect(),
            manifest,
            dataset: known.name,
        })
    }

    /// A quick look at the version's file, which reads only its end.
    #[must_use]
    pub fn file_state(&self) -> FileState {
        let Ok(bytes) = fs::metadata(&self.path).map(|found| found.len()) else { return FileState::Missing };
        let is_whole = bytes == self.manifest.data.bytes;
        match is_whole && version_in(&self.path).as_ref() == Some(&self.id) {
            true => FileState::Present,
            false => FileState::Changed,
        }
    }

    /// The version's file at its beginning. It is read once to see that it has the bytes that were recorded.
    pub fn open(&self) -> Result<File, EngineError> {
        let fault = |found: String| EngineError::DatasetFile {
            name: format!("{}@{}", self.dataset, self.version),
            path: self.path.clone(),
            found,
        };
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => fault("is not there any more".to_owned()),
            _ => fault(format!("cannot be read ({error})")),
        };
        let mut file = File::open(&self.path).map_err(unreadable)?;
        if let Some(difference) = self.manifest.data.difference(&mut file).map_err(unreadable)? {
            return Err(fault(difference));
        }
        file.rewind().map_err(unreadable)?;
        Ok(file)
    }
}

/// The version that a Parquet file says it is of.
pub(super) fn version_in(path: &Path) -> Option<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).ok()?).ok()?;
    let mut entries = reader.metadata().file_metadata().key_value_metadata()?.iter();
    entries.find(|entry| entry.key == VERSION_KEY)?.value.clone()
}

/// The manifest as it was recorded.
pub(crate) fn manifest(known: &Artifact) -> Result<Manifest, EngineError> {
    serde_json::from_str(&known.definition)
        .map_err(|source| EngineError::Definition { name: known.name.clone(), source })
}

impl Engine {
    /// Every version of every dataset, by name and version.
    pub fn datasets(&self) -> BoxFuture<'_, Result<Vec<BuiltDataset>, EngineError>> {
        Box::pin(async move {
            let known = self.world().state.artifacts(DATASET).await?.into_iter();
            known.map(|known| BuiltDataset::new(self.world(), known)).collect()
        })
    }

    /// `churn` is the newest version, `churn@2` that one; `version` says it too.
    pub fn dataset_version<'a>(
        &'a self,
        name: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BuiltDataset, EngineError>> {
        Box::pin(async move {
            let known = match version {
                Some(version) if !name.contains('@') => {
                    self.world().dataset(&format!("{name}@{version}")).await?
                }
                _ => self.world().dataset(name).await?,
            };
            BuiltDataset::new(self.world(), known)
        })
    }

    /// As [`Engine::dataset_version`], with its file as [`BuiltDataset::open`] gives it.
    pub fn open_dataset<'a>(
        &'a self,
        name: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(BuiltDataset, File), EngineError>> {
        Box::pin(async move {
            let built = self.dataset_version(name, version).await?;
            let opened = tokio::task::spawn_blocking(move || built.open().map(|file| (built, file))).await;
            opened.map_err(|_| EngineError::Worker { doing: "reading a dataset" })?
        })
    }
}

impl World {
    /// What is recorded of a version: `churn` is the newest, `churn@2` that one.
    pub(crate) async fn dataset(&self, name: &str) -> Result<Artifact, EngineError> {
        let (dataset, version) = with_version(name);
        if let Ok(number) = version.map(str::parse::<i64>).transpose()
            && let Some(found) = self.state.artifact(DATASET, dataset, number).await?
        {
            return Ok(found);
        }
        let versions = self.state.artifact_numbers(DATASET, dataset).await?;
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        let is_defined = self.project.spec.datasets.iter().any(|spec| spec.name == dataset);
        let hint = match (versions.is_empty(), is_defined) {
            (false, _) => format!("there are the versions {}", versions.join(", ")),
            (true, true) => format!("build it with `millstream dataset build {dataset}`"),
            (true, false) => "`millstream dataset list` shows what was built".to_owned(),
        };
        Err(EngineError::UnknownFeature { what: "dataset", name: name.to_owned(), hint })
    }

    /// Whether there is something at the place of a version's file. What it holds is looked at by those who read it.
    pub(super) async fn has_dataset_file(&self, name: &str, version: i64) -> Result<bool, EngineError> {
        let found = self.state.artifact(DATASET, name, Some(version)).await?;
        let place = found.and_then(|found| found.location).map(|place| self.project.spec.root.join(place));
        // A place that cannot be looked at is no reason to build.
        Ok(place.is_some_and(|place| fs::exists(place).unwrap_or(true)))
    }

    /// The number of a dataset's newest version.
    pub(crate) async fn newest_dataset(&self, name: &str) -> Result<Option<i64>, EngineError> {
        Ok(self.state.newest_artifact(DATASET, name).await?)
    }

    /// How the place of a dataset's file is recorded: relative to the project's folder if it lies below it, so that a
    /// project that is moved or copied has its own files.
    pub(super) fn recorded_path(&self, path: &Path) -> String {
        path.strip_prefix(&self.project.spec.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// The file of a recorded version.
    pub(super) fn dataset_file(&self, known: &Artifact) -> Result<PathBuf, EngineError> {
        let place = known.location.as_ref().ok_or_else(|| EngineError::Definition {
            name: known.name.clone(),
            source: serde::de::Error::missing_field("location"),
        })?;
        Ok(self.project.spec.root.join(place))
    }
}
