//! Versions of artifacts: what is made beside the tables of the lake, under a name, and kept version by version.
//!
//! Each record holds the word of the artifact's kind. Only the kind itself knows how to read a version's definition.

use futures::future::{BoxFuture, FutureExt};
use millstream_plan::AssetKind;
use millstream_types::TimestampMicros;

use crate::{
    Pin, State, StateError,
    database::{Row, parameters},
    pin,
    store::{Work, changed},
};

/// One version of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub kind: AssetKind,
    pub name: String,
    /// The number of the version among those of its artifact: 1, 2, 3, …
    pub version: i64,
    /// The hash of what makes one version differ from another.
    pub hash: String,
    /// What the version is, as its kind writes it.
    pub definition: String,
    /// The place of the version's file, if it has one, as its kind writes places.
    pub location: Option<String>,
    /// The version of another artifact that this one was made of, for people: name and number.
    pub made_of: Option<String>,
    pub at: TimestampMicros,
    /// The time since which the version is no longer used.
    pub removed_at: Option<TimestampMicros>,
}

/// An artifact that was made just now, and may turn out to be a version that is recorded already.
#[derive(Clone, Copy, Debug)]
pub struct NewArtifact<'a> {
    pub kind: AssetKind,
    pub name: &'a str,
    pub hash: &'a str,
    pub definition: &'a str,
    pub location: Option<&'a str>,
    pub made_of: Option<&'a str>,
    pub at: TimestampMicros,
    /// The versions of tables that stay readable for the artifact.
    pub pins: &'a [Pin],
    pub sameness: Sameness,
}

/// The rule by which an artifact is a version that is recorded already. The record then takes over the artifact's
/// definition and place, and the version is used again if it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// The artifact is the newest version with its hash, whatever versions were made after that one. The version keeps its
    /// time.
    AnyOfItsHash,
    /// The artifact is the newest version of all, if that has its hash and its definition: an artifact that is made again
    /// after another is a new version. The version takes the artifact's time.
    NewestAlike,
}

const COLUMNS: &str = "name, version, hash, definition, location, made_of, at, removed_at";

impl State {
    /// Records an artifact and pins the versions of tables that it needs, in one transaction. Returns its version: one that
    /// is recorded already, or the next one.
    pub fn record_artifact<'a>(
        &'a self,
        artifact: &'a NewArtifact<'a>,
    ) -> BoxFuture<'a, Result<i64, StateError>> {
        async move {
            let mut work = self.change("record the artifact").await?;
            let (version, at) = match known(&mut work, artifact).await? {
                Some(known) => known,
                None => (next(&mut work, artifact).await?, artifact.at),
            };
            work.execute(
                "INSERT INTO artifacts (kind, name, version, hash, definition, location, made_of, at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, name, version) DO UPDATE SET \
                 definition = excluded.definition, location = excluded.location, made_of = excluded.made_of, \
                 at = excluded.at, removed_at = NULL",
                &parameters![
                    artifact.kind.as_str(),
                    artifact.name,
                    version,
                    artifact.hash,
                    artifact.definition,
                    artifact.location,
                    artifact.made_of,
                    at.0
                ],
            )
            .await?;
            for pin in artifact.pins {
                pin::insert(&mut work, pin, &pin.pinned_by).await?;
            }
            work.commit().await?;
            Ok(version)
        }
        .boxed()
    }

    /// All versions of all artifacts of a kind, by name and version; the removed ones too.
    pub fn artifacts(&self, kind: AssetKind) -> BoxFuture<'_, Result<Vec<Artifact>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM artifacts WHERE kind = $1 ORDER BY name, version");
            let rows = self.rows("read the artifacts", &sql, &parameters![kind.as_str()]).await?;
            rows.into_iter().map(|row| parse(kind, row)).collect()
        }
        .boxed()
    }

    /// One version of an artifact, the newest where none is named.
    pub fn artifact<'a>(
        &'a self,
        kind: AssetKind,
        name: &'a str,
        version: Option<i64>,
    ) -> BoxFuture<'a, Result<Option<Artifact>, StateError>> {
        async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM artifacts WHERE kind = $1 AND name = $2 AND version = coalesce($3, version) \
                 ORDER BY version DESC LIMIT 1"
            );
            let rows = self.rows("read an artifact", &sql, &parameters![kind.as_str(), name, version]).await?;
            rows.into_iter().next().map(|row| parse(kind, row)).transpose()
        }
        .boxed()
    }

    /// The number of an artifact's newest version.
    pub fn newest_artifact<'a>(
        &'a self,
        kind: AssetKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<i64>, StateError>> {
        async move {
            let sql = "SELECT max(version) FROM artifacts WHERE kind = $1 AND name = $2";
            let doing = "read the newest version of an artifact";
            let rows = self.rows(doing, sql, &parameters![kind.as_str(), name]).await?;
            rows.into_iter().next().map_or(Ok(None), |mut row| row.integer_or_null(0))
        }
        .boxed()
    }

    /// The numbers of an artifact's versions, the oldest first.
    pub fn artifact_numbers<'a>(
        &'a self,
        kind: AssetKind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<i64>, StateError>> {
        async move {
            let sql = "SELECT version FROM artifacts WHERE kind = $1 AND name = $2 ORDER BY version";
            let doing = "read the versions of an artifact";
            let rows = self.rows(doing, sql, &parameters![kind.as_str(), name]).await?;
            rows.into_iter().map(|mut row| row.integer(0)).collect()
        }
        .boxed()
    }

    /// Forgets a version, and the pins that `pinned_by` set, if it is known.
    pub fn forget_artifact<'a>(
        &'a self,
        kind: AssetKind,
        name: &'a str,
        version: i64,
        pinned_by: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("forget the artifact's version").await?;
                let sql = "DELETE FROM artifacts WHERE kind = $1 AND name = $2 AND version = $3";
                work.execute(sql, &parameters![kind.as_str(), name, version]).await?;
                if let Some(pinned_by) = pinned_by {
                    work.execute("DELETE FROM pins WHERE pinned_by = $1", &parameters![pinned_by]).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// Ends the use of a version. Returns whether the version was in use.
    pub fn remove_artifact<'a>(
        &'a self,
        kind: AssetKind,
        name: &'a str,
        version: i64,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            let mut work = self.change("remove the artifact's version").await?;
            let changed = work
                .execute(
                    "UPDATE artifacts SET removed_at = $4 \
                     WHERE kind = $1 AND name = $2 AND version = $3 AND removed_at IS NULL",
                    &parameters![kind.as_str(), name, version, at.0],
                )
                .await?;
            work.commit().await?;
            Ok(changed > 0)
        }
        .boxed()
    }
}

/// The recorded version that the artifact is, with the time that the version has from now on.
async fn known(
    work: &mut Work<'_>,
    artifact: &NewArtifact<'_>,
) -> Result<Option<(i64, TimestampMicros)>, StateError> {
    let NewArtifact { kind, name, hash, definition, .. } = *artifact;
    let (kind, all) = (kind.as_str(), "SELECT version, at FROM artifacts WHERE kind = $1 AND name = $2");
    let same = match artifact.sameness {
        Sameness::AnyOfItsHash => {
            let sql = format!("{all} AND hash = $3 ORDER BY version DESC LIMIT 1");
            work.row(&sql, &parameters![kind, name, hash]).await?
        }
        Sameness::NewestAlike => {
            let newest = "SELECT max(version) FROM artifacts WHERE kind = $1 AND name = $2";
            let sql = format!("{all} AND hash = $3 AND definition = $4 AND version = ({newest})");
            work.row(&sql, &parameters![kind, name, hash, definition]).await?
        }
    };
    let at = |recorded| match artifact.sameness {
        Sameness::AnyOfItsHash => recorded,
        Sameness::NewestAlike => artifact.at,
    };
    same.map(|mut row| Ok((row.integer(0)?, at(TimestampMicros(row.integer(1)?))))).transpose()
}

async fn next(work: &mut Work<'_>, artifact: &NewArtifact<'_>) -> Result<i64, StateError> {
    let sql = "SELECT coalesce(max(version), 0) + 1 FROM artifacts WHERE kind = $1 AND name = $2";
    let row = work.row(sql, &parameters![artifact.kind.as_str(), artifact.name]).await?;
    row.map_or(Ok(1), |mut row| row.integer(0))
}

fn parse(kind: AssetKind, mut row: Row) -> Result<Artifact, StateError> {
    Ok(Artifact {
        kind,
        name: row.text(0)?,
        version: row.integer(1)?,
        hash: row.text(2)?,
        definition: row.text(3)?,
        location: row.text_or_null(4)?,
        made_of: row.text_or_null(5)?,
        at: TimestampMicros(row.integer(6)?),
        removed_at: row.integer_or_null(7)?.map(TimestampMicros),
    })
}
