//! How far each source has been landed.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::SourceName;

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::Work,
};

/// What is known of a source's landing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// The epoch that was committed last; 0 before the first.
    pub epoch: i64,
    /// The `_sequence` of the next row.
    pub next_sequence: i64,
    /// The parts that were landed, ordered by id.
    pub parts: Vec<KnownPart>,
}

/// A part that was landed, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPart {
    pub id: String,
    /// The connector's own description of the content, as JSON text.
    pub version: String,
    /// Position of the last row that was landed or rejected.
    pub position: i64,
}

/// What one landing changed.
#[derive(Clone, Debug, Default)]
pub struct LandingUpdate<'a> {
    /// The epoch of the landing. It equals the recorded one when only versions of parts were refreshed.
    pub epoch: i64,
    pub next_sequence: i64,
    /// Parts that are new or have changed; the others stay.
    pub parts: &'a [KnownPart],
}

const RECORDING: &str = "record the landing";

impl State {
    /// How far a source was landed. A source that was never landed has epoch 0 and no parts.
    pub fn landing<'a>(&'a self, source: &'a SourceName) -> BoxFuture<'a, Result<Landing, StateError>> {
        async move {
            // Epoch and parts belong together while another process records.
            let mut work = self.reading("read how far the source was landed").await?;
            let (epoch, next_sequence) = head(&mut work, source).await?.unwrap_or_default();
            let sql = "SELECT part, version, position FROM parts WHERE source = $1 ORDER BY part";
            let rows = work.rows(sql, &parameters![source.as_str()]).await?;
            work.end().await?;
            let part = |mut row: Row| {
                Ok(KnownPart { id: row.text(0)?, version: row.text(1)?, position: row.integer(2)? })
            };
            let parts = rows.into_iter().map(part).collect::<Result<_, StateError>>()?;
            Ok(Landing { epoch, next_sequence, parts })
        }
        .boxed()
    }

    /// Records a landing as a whole. Recording the same one twice changes nothing; an older epoch than the
    /// recorded one is an error.
    pub fn record_landing<'a>(
        &'a self,
        source: &'a SourceName,
        update: &'a LandingUpdate<'a>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change(RECORDING).await?;
            if let Some((recorded, _)) = head(&mut work, source).await?
                && update.epoch < recorded
            {
                let source_name = source.to_string();
                return Err(StateError::OldEpoch { source_name, epoch: update.epoch, recorded });
            }
            write(&mut work, source, update).await?;
            work.commit().await
        }
        .boxed()
    }

    /// Records a landing in the place of everything that is known of the source: parts that it does not name are
    /// forgotten, and the epoch may be an older one.
    pub fn replace_landing<'a>(
        &'a self,
        source: &'a SourceName,
        update: &'a LandingUpdate<'a>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change(RECORDING).await?;
            for table in ["landings", "parts"] {
                let sql = format!("DELETE FROM {table} WHERE source = $1");
                work.execute(&sql, &parameters![source.as_str()]).await?;
            }
            write(&mut work, source, update).await?;
            work.commit().await
        }
        .boxed()
    }
}

async fn write(
    work: &mut Work<'_>,
    source: &SourceName,
    update: &LandingUpdate<'_>,
) -> Result<(), StateError> {
    work.execute(
        "INSERT INTO landings (source, epoch, next_sequence) VALUES ($1, $2, $3) \
         ON CONFLICT (source) DO UPDATE SET epoch = excluded.epoch, next_sequence = excluded.next_sequence",
        &parameters![source.as_str(), update.epoch, update.next_sequence],
    )
    .await?;
    let parts: Vec<_> = update
        .parts
        .iter()
        .map(|part| parameters![source.as_str(), &part.id, &part.version, part.position].to_vec())
        .collect();
    work.execute_each(
        "INSERT INTO parts (source, part, version, position) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (source, part) DO UPDATE SET version = excluded.version, position = excluded.position",
        &parts,
    )
    .await
}

/// The recorded epoch of a source and the `_sequence` of its next row.
async fn head(work: &mut Work<'_>, source: &SourceName) -> Result<Option<(i64, i64)>, StateError> {
    let sql = "SELECT epoch, next_sequence FROM landings WHERE source = $1";
    let row = work.row(sql, &parameters![source.as_str()]).await?;
    row.map(|mut row| Ok((row.integer(0)?, row.integer(1)?))).transpose()
}
