//! Malformed rows, handed to their connector once more: another encoding or dialect may make rows of them.

use std::collections::{BTreeMap, HashSet};

use millstream_connector::{ConnectorError, MalformedRow, SourceBatch};
use millstream_project::SourceSpec;
use millstream_quality::Restored;
use millstream_types::Field;

use crate::{EngineError, assets::source::landing::source_error, engine::StepContext};

/// The outcome of decoding malformed rows again.
#[derive(Default)]
pub(super) struct Decoded {
    /// Rows that can be read now, with the parts that they came from.
    pub batches: Vec<(String, SourceBatch)>,
    /// The places of the rows that cannot be read, in the batch of rejected rows.
    pub still: Vec<usize>,
}

/// Decodes the malformed rows among `restored`. Rows with columns that the table does not have stay malformed.
pub(super) async fn decode(
    context: &StepContext,
    source: &SourceSpec,
    columns: &[Field],
    restored: &Restored,
) -> Result<Decoded, EngineError> {
    let mut by_part: BTreeMap<&str, Vec<MalformedRow>> = BTreeMap::new();
    for (part, row) in &restored.malformed_rows {
        by_part.entry(part).or_default().push(row.clone());
    }
    let connector = context.world.connector(source)?;
    let mut decoded = Decoded::default();
    let mut read: HashSet<(&str, i64)> = HashSet::new();
    for (part, rows) in by_part {
        let batches = match connector.decode_again(part, rows).await {
            Ok(batches) => batches,
            // The malformed rows of a part that cannot be read stay malformed; other parts go on.
            Err(
                ConnectorError::Broken { .. }
                | ConnectorError::Unsupported { .. }
                | ConnectorError::Refused { .. },
            ) => continue,
            Err(error) => return Err(source_error(source, error)),
        };
        for batch in batches.into_iter().filter(|batch| has_only(batch, columns)) {
            read.extend((0..batch.rows.num_rows()).map(|row| (part, batch.positions.get(row))));
            decoded.batches.push((part.to_owned(), batch));
        }
    }
    let places = restored.malformed.iter().zip(&restored.malformed_rows);
    let still = places.filter(|(_, (part, row))| !read.contains(&(part.as_str(), row.position)));
    decoded.still = still.map(|(place, _)| *place).collect();
    Ok(decoded)
}

fn has_only(batch: &SourceBatch, columns: &[Field]) -> bool {
    let schema = batch.rows.schema_ref();
    schema.fields().iter().all(|found| columns.iter().any(|column| column.name == *found.name()))
}
