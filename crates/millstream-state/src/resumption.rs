//! Assets that somebody wants to run by themselves again, until the process that schedules the project has seen to it.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, TimestampMicros};

use crate::{State, StateError, database::parameters, store::Work};

impl State {
    /// Asks for an asset that was set aside. Once this returns, no crash loses it.
    pub fn ask_to_resume<'a>(
        &'a self,
        asset: &'a AssetId,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("ask for an asset").await?;
            let sql = "INSERT INTO resumptions (asset, at) VALUES ($1, $2) \
                       ON CONFLICT (asset) DO UPDATE SET at = excluded.at";
            work.execute(sql, &parameters![asset.as_str(), at.0]).await?;
            work.commit().await
        }
        .boxed()
    }

    /// The assets that were asked for.
    pub fn resumptions(&self) -> BoxFuture<'_, Result<Vec<AssetId>, StateError>> {
        async move {
            let sql = "SELECT asset FROM resumptions ORDER BY asset";
            let rows = self.rows("read what was asked for", sql, &[]).await?;
            rows.into_iter().map(|mut row| Ok(AssetId::from(row.text(0)?))).collect()
        }
        .boxed()
    }

    /// The asset was seen to.
    pub fn resumed<'a>(&'a self, asset: &'a AssetId) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("forget what was asked for").await?;
            let sql = "DELETE FROM resumptions WHERE asset = $1";
            work.execute(sql, &parameters![asset.as_str()]).await?;
            work.commit().await
        }
        .boxed()
    }
}

/// A step of the asset has ended well, whoever ran it: where the asset is set aside, that asks for it.
pub(crate) async fn ask_if_aside(
    work: &mut Work<'_>,
    asset: &AssetId,
    at: TimestampMicros,
) -> Result<(), StateError> {
    let sql = "INSERT INTO resumptions (asset, at) \
               SELECT asset, CAST($2 AS BIGINT) FROM scheduled_assets WHERE asset = $1 AND aside_since IS NOT NULL \
               ON CONFLICT (asset) DO UPDATE SET at = excluded.at";
    work.execute(sql, &parameters![asset.as_str(), at.0]).await?;
    Ok(())
}
