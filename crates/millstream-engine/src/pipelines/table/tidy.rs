//! Small files are put together within the work of a pipeline: nobody else gets at its table while it holds the lease.

use millstream_lake::MaintainOptions;
use millstream_types::TableName;

use crate::{EngineError, engine::World, error::told};

/// After so many commits the files are looked at.
pub(super) const COMMITS: u32 = 64;

/// So many bytes of files are put together at once, so that rows do not wait for long.
const BYTES: u64 = 256 << 20;

/// Puts small files of the table, and of its rejected and late rows, together. What fails is left for the next time: nothing depends on it.
pub(super) async fn tidy(world: &World, table: &TableName) {
    for table in [table.clone(), table.rejected(), table.late()] {
        if let Err(error) = compact(world, &table).await {
            let (code, error) = (error.code(), told(&error));
            tracing::warn!(%table, code, error, "small files were not put together; they are the next time");
        }
    }
}

async fn compact(world: &World, table: &TableName) -> Result<(), EngineError> {
    let options = MaintainOptions { compact_bytes: BYTES, ..MaintainOptions::at(world.options.clock.now()) };
    world.compact_table(table, &options).await.map(drop)
}
