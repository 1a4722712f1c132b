//! How far each source has been landed.

use millstream_types::SourceName;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::{State, StateError};

/// What is known of a source's landing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// The epoch that was committed last; 0 before the first.
    pub epoch: i64,
    /// The `_sequence` of the next row.
    pub next_sequence: i64,
    /// By id.
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
    /// Equal to the recorded epoch when only versions of parts were refreshed.
    pub epoch: i64,
    pub next_sequence: i64,
    /// Parts that are new or have changed; the others stay.
    pub parts: &'a [KnownPart],
}

const DOING: &str = "record the landing";

impl State {
    /// A source that was never landed has epoch 0 and no parts.
    pub fn landing(&self, source: &SourceName) -> Result<Landing, StateError> {
        let doing = "read how far the source was landed";
        let connection = self.read(doing)?;
        // One transaction, so that epoch and parts belong together while another process records.
        let transaction = connection.unchecked_transaction().map_err(StateError::query(doing))?;
        let (epoch, next_sequence) = head(&transaction, source)?.unwrap_or_default();
        let mut statement = transaction
            .prepare_cached("SELECT part, version, position FROM parts WHERE source = ?1 ORDER BY part")
            .map_err(StateError::query(doing))?;
        let parts = statement
            .query_map([source.as_str()], |row| {
                Ok(KnownPart { id: row.get(0)?, version: row.get(1)?, position: row.get(2)? })
            })
            .map_err(StateError::query(doing))?
            .collect::<Result<_, _>>()
            .map_err(StateError::query(doing))?;
        Ok(Landing { epoch, next_sequence, parts })
    }

    /// Records a landing as a whole. Recording the same one twice changes nothing; an older epoch than the
    /// recorded one is an error.
    pub fn record_landing(&self, source: &SourceName, update: &LandingUpdate<'_>) -> Result<(), StateError> {
        self.write(DOING, |transaction| match head(transaction, source)? {
            Some((recorded, _)) if update.epoch < recorded => {
                Err(StateError::OldEpoch { source_name: source.to_string(), epoch: update.epoch, recorded })
            }
            _ => write(transaction, source, update),
        })
    }

    /// Records a landing in the place of everything that is known of the source: parts that it does not name are
    /// forgotten, and the epoch may be an older one.
    pub fn replace_landing(&self, source: &SourceName, update: &LandingUpdate<'_>) -> Result<(), StateError> {
        self.write(DOING, |transaction| {
            for table in ["landings", "parts"] {
                transaction
                    .execute(&format!("DELETE FROM {table} WHERE source = ?1"), [source.as_str()])
                    .map_err(StateError::query(DOING))?;
            }
            write(transaction, source, update)
        })
    }
}

fn write(
    transaction: &Transaction<'_>,
    source: &SourceName,
    update: &LandingUpdate<'_>,
) -> Result<(), StateError> {
    transaction
        .prepare_cached(
            "INSERT INTO landings (source, epoch, next_sequence) VALUES (?1, ?2, ?3) \
             ON CONFLICT (source) DO UPDATE SET epoch = excluded.epoch, next_sequence = excluded.next_sequence",
        )
        .and_then(|mut s| s.execute(params![source.as_str(), update.epoch, update.next_sequence]))
        .map_err(StateError::query(DOING))?;
    let mut upsert = transaction
        .prepare_cached(
            "INSERT INTO parts (source, part, version, position) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (source, part) DO UPDATE SET version = excluded.version, position = excluded.position",
        )
        .map_err(StateError::query(DOING))?;
    for part in update.parts {
        upsert
            .execute(params![source.as_str(), part.id, part.version, part.position])
            .map_err(StateError::query(DOING))?;
    }
    Ok(())
}

fn head(connection: &Connection, source: &SourceName) -> Result<Option<(i64, i64)>, StateError> {
    connection
        .prepare_cached("SELECT epoch, next_sequence FROM landings WHERE source = ?1")
        .and_then(|mut statement| {
            statement.query_row([source.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(StateError::query("read the source's epoch"))
}
