//! Deletes data files that no kept version lists and that are too old to be about to be committed.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::{
    Lake,
    error::{LakeError, Result},
    maintain::{MaintainOptions, Maintained},
    snapshot::{At, Snapshot},
    storage::LOG_FOLDER,
};

impl Lake {
    /// Deletes the old data files that no version from `kept` on lists. `kept` is the oldest version that has to stay
    /// readable.
    pub(crate) async fn vacuum(
        &self,
        newest: &Snapshot,
        kept: i64,
        options: &MaintainOptions,
        done: &mut Maintained,
    ) -> Result<()> {
        let Some(listed) = self.listed_since(newest, kept).await? else { return Ok(()) };
        let table = self.storage().table_path(newest.table());
        let old = options.before(options.retention.max(options.staged_grace));
        let all = self.storage().store.list(Some(&table));
        let all: Vec<ObjectMeta> =
            all.try_collect().await.map_err(|error| LakeError::store("list", &table, error))?;
        for object in all {
            let Some(name) = object.location.as_ref().strip_prefix(table.as_ref()) else { continue };
            let name = name.trim_start_matches('/');
            let is_log = name.split('/').next() == Some(LOG_FOLDER);
            let is_young = object.last_modified.timestamp_micros() >= old.0;
            if is_log || !name.ends_with(".parquet") || listed.contains(name) {
                continue;
            }
            if is_young {
                done.data_files_young += 1;
                done.bytes_young += object.size;
                continue;
            }
            match self.storage().store.delete(&object.location).await {
                Ok(()) => {
                    done.data_files_deleted += 1;
                    done.bytes_deleted += object.size;
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::store("delete", &object.location, error)),
            }
        }
        Ok(())
    }

    /// The files of every version from `kept` on; `None` when that cannot be known for sure, and then
    /// nothing may be deleted.
    async fn listed_since(&self, newest: &Snapshot, kept: i64) -> Result<Option<HashSet<String>>> {
        let table = newest.table();
        let Some(oldest) = self.snapshot(table, At::Version(kept)).await? else { return Ok(None) };
        let mut listed: HashSet<String> = oldest.files().iter().map(|file| file.path().to_owned()).collect();
        listed.extend(newest.files().iter().map(|file| file.path().to_owned()));
        let commits = self.storage().read_commits(table, kept + 1, newest.version()).await?;
        let Some(commits) = commits else { return Ok(None) };
        for commit in commits {
            listed.extend(commit.adds.into_iter().map(|add| add.path.plain().to_owned()));
        }
        Ok(Some(listed))
    }
}
