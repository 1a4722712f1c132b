//! `millstream dataset diff`: compares two versions of datasets.

use std::path::Path;

use futures::future::BoxFuture;
use millstream_ml::dataset::{DatasetDiff, DatasetFile, diff};

use crate::{Engine, EngineError};

impl Engine {
    /// Compares two versions, named as `churn@1`, or by the path of a Parquet file with its manifest beside it.
    pub fn compare_datasets<'a>(
        &'a self,
        before: &'a str,
        after: &'a str,
    ) -> BoxFuture<'a, Result<DatasetDiff, EngineError>> {
        Box::pin(async move {
            let (before, after) = (self.dataset_file(before).await?, self.dataset_file(after).await?);
            let name = after.manifest.definition.name.clone();
            diff(&before, &after).map_err(|source| EngineError::Dataset { name, source })
        })
    }

    async fn dataset_file(&self, name: &str) -> Result<DatasetFile, EngineError> {
        let failed = |source| EngineError::Dataset { name: name.to_owned(), source };
        let path = Path::new(name);
        if path.is_file() {
            return DatasetFile::open(path).map_err(failed);
        }
        // A later build may have replaced a file that a definition names.
        let built = self.dataset_version(name, None).await?;
        built.open()?;
        DatasetFile::with_manifest(&built.path, built.manifest).map_err(failed)
    }
}
