//! Sets: the versions that belong together, published by a run that succeeded, all at once.
//!
//! A run publishes the recorded versions of the assets that it alone could write. Each publication has a place, a number
//! that grows. The table `published` has the set that readers take now, each version with the place at which it was
//! published; `published_before` has the versions that were replaced since, with their places. The set of a run has, for
//! each asset, the version with the greatest place up to the run's own.

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, AssetVersion, RunId};

use crate::{
    State, StateError,
    asset::{PARAMETERS_MAX, named},
    database::{Row, parameters},
    store::{Work, changed},
};

impl State {
    /// The versions that readers take, of every asset that a run has published.
    pub fn published(&self) -> BoxFuture<'_, Result<BTreeMap<AssetId, AssetVersion>, StateError>> {
        async move {
            let rows =
                self.rows("read the set of versions", "SELECT asset, version FROM published", &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// The versions that readers took once `run` was over; `None` where it published nothing, because it failed or has not
    /// ended.
    pub fn set_of<'a>(
        &'a self,
        run: &'a RunId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<AssetId, AssetVersion>>, StateError>> {
        async move {
            let doing = "read the set of versions of a run";
            let sql = "SELECT place FROM publications WHERE run = $1";
            let places = self.rows(doing, sql, &parameters![run.as_str()]).await?;
            let Some(mut row) = places.into_iter().next() else { return Ok(None) };
            let place = row.integer(0)?;
            let sql = "SELECT asset, version FROM published WHERE place <= $1 \
                       UNION ALL \
                       SELECT b.asset, b.version FROM published_before b \
                       JOIN published p ON p.asset = b.asset AND p.place > $1 \
                       WHERE b.place = (SELECT max(place) FROM published_before c \
                                        WHERE c.asset = b.asset AND c.place <= $1)";
            let rows = self.rows(doing, sql, &parameters![place]).await?;
            rows.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
        }
        .boxed()
    }

    /// Replaces a published version by another one with the same rows, in every set that has it.
    pub fn move_published<'a>(
        &'a self,
        asset: &'a AssetId,
        from: AssetVersion,
        to: AssetVersion,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("move a published version").await?;
                for table in ["published", "published_before"] {
                    let sql = format!("UPDATE {table} SET version = $3 WHERE asset = $1 AND version = $2");
                    work.execute(&sql, &parameters![asset.as_str(), from, to]).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }
}

/// Puts [`AssetVersion::LOST`] into every set that has a version of an asset above `found`, the one that it was put back to, or
/// any version if there is none: those that come next may have the same numbers.
pub(crate) async fn lose(
    work: &mut Work<'_>,
    asset: &AssetId,
    found: Option<AssetVersion>,
) -> Result<(), StateError> {
    let found = found.unwrap_or(AssetVersion::LOST);
    for table in ["published", "published_before"] {
        let sql = format!("UPDATE {table} SET version = $2 WHERE asset = $1 AND version > $3");
        work.execute(&sql, &parameters![asset.as_str(), AssetVersion::LOST, found]).await?;
    }
    Ok(())
}

/// The same for an asset of which a step has just made `version`, if a higher one is on record: the asset was made anew.
pub(crate) async fn lose_if_anew(
    work: &mut Work<'_>,
    asset: &AssetId,
    version: AssetVersion,
) -> Result<(), StateError> {
    for table in ["published", "published_before"] {
        let sql = format!(
            "UPDATE {table} SET version = $2 WHERE asset = $1 \
             AND EXISTS (SELECT 1 FROM assets a WHERE a.asset = $1 AND a.version > $3)"
        );
        work.execute(&sql, &parameters![asset.as_str(), AssetVersion::LOST, version]).await?;
    }
    Ok(())
}

/// Publishes the recorded versions of `assets`. A run that publishes again, because the answer to its first attempt got
/// lost, changes nothing. Gives the versions that readers have from then on, and had not before.
pub(crate) async fn publish(
    work: &mut Work<'_>,
    run: &RunId,
    assets: &[AssetId],
) -> Result<Vec<(AssetId, AssetVersion)>, StateError> {
    let insert = "INSERT INTO publications (run) VALUES ($1) ON CONFLICT DO NOTHING";
    if work.execute(insert, &parameters![run.as_str()]).await? == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT place FROM publications WHERE run = $1";
    let Some(mut row) = work.row(sql, &parameters![run.as_str()]).await? else { return Ok(Vec::new()) };
    let place = row.integer(0)?;
    let mut news: Vec<(AssetId, AssetVersion)> = Vec::new();
    for assets in assets.chunks(PARAMETERS_MAX) {
        let (places, parameters) = named(assets);
        let sql = format!(
            "SELECT a.asset, a.version FROM assets a LEFT JOIN published p ON p.asset = a.asset \
             WHERE a.version IS NOT NULL AND (p.version IS NULL OR p.version <> a.version) \
             AND a.asset IN ({places})"
        );
        for row in work.rows(&sql, &parameters).await? {
            news.push(parse(row)?);
        }
    }
    for (asset, version) in &news {
        work.execute(
            "INSERT INTO published_before (asset, place, version) \
             SELECT asset, place, version FROM published WHERE asset = $1",
            &parameters![asset.as_str()],
        )
        .await?;
        work.execute(
            "INSERT INTO published (asset, version, place) VALUES ($1, $2, $3) \
             ON CONFLICT (asset) DO UPDATE SET version = excluded.version, place = excluded.place",
            &parameters![asset.as_str(), *version, place],
        )
        .await?;
    }
    Ok(news)
}

/// Forgets the sets of runs that are forgotten themselves. What readers take now stays.
pub(crate) async fn forget(work: &mut Work<'_>) -> Result<(), StateError> {
    work.execute("DELETE FROM publications WHERE run NOT IN (SELECT run FROM runs)", &[]).await?;
    // Of each asset the last version before the oldest set that is left belongs to that set.
    work.execute(
        "DELETE FROM published_before WHERE place < (\
         SELECT coalesce(max(c.place), 0) FROM published_before c WHERE c.asset = published_before.asset \
         AND c.place <= (SELECT coalesce(min(place), 0) FROM publications))",
        &[],
    )
    .await?;
    Ok(())
}

fn parse(mut row: Row) -> Result<(AssetId, AssetVersion), StateError> {
    Ok((AssetId::from(row.text(0)?), AssetVersion::numbered(row.integer(1)?)))
}
