//! Ending the serving of a version, and freeing what nothing reads any more.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use super::{server::FeatureServer, services};
use crate::EngineError;

impl FeatureServer {
    /// Ends the serving of `service@version` and drops the records that only it read; how many views' records.
    /// The version that the project defines cannot be removed while it does.
    pub fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<usize, EngineError>> {
        Box::pin(async move {
            let world = &self.0.world;
            let served = services::recorded(world).await?;
            let version = services::find(&served, name)?;
            if version.is_current {
                return Err(EngineError::Request {
                    message: format!(
                        "`{}` version {} is what the project says",
                        version.name, version.version
                    ),
                    hint: Some("take the service out of its file first, or name an older version".to_owned()),
                });
            }
            services::remove(world, version).await?;
            self.free().await
        })
    }

    /// Drops the records of definitions that nothing reads any more.
    async fn free(&self) -> Result<usize, EngineError> {
        let read: BTreeSet<u64> = services::stored_views(&self.0.world).await?.into_keys().collect();
        let mut dropped = 0;
        for info in self.0.access.store.spaces().await? {
            // Space 0 holds no view.
            if info.space != 0 && !read.contains(&info.space) {
                self.0.access.store.drop_space(info.space).await?;
                dropped += 1;
            }
        }
        services::unpin_unread(&self.0.world).await?;
        Ok(dropped)
    }
}
