//! Tables with partitions: only the partitions are built whose rows have changed, each judged by itself.
//!
//! A build pins its inputs, finds the partitions that their changes reach, and records them as stale or missing before it builds
//! any. Then it builds chunk after chunk: rows are computed, judged partition by partition, and one commit replaces exactly the
//! rows of the partitions that passed. Each commit says what it built, and is recorded after it; see `recovery.rs` for what
//! happens when the process ends in between.

mod backfill;
mod chunk;
mod chunks;
mod commit;
mod grid;
mod overview;
mod recovery;
mod survey;
mod table;

use futures::future::BoxFuture;
use millstream_plan::Recorded;
use millstream_project::{PartitionSpec, TableSpec};
use millstream_types::AssetId;

use crate::{
    EngineError,
    engine::{StepContext, World},
    run::StepResult,
};

pub use backfill::{BackfillPreview, BackfillReport, BackfillRequest, BackfillWish};
pub use overview::{BrokenPartition, PartitionOverview, PartitionRange};

use chunks::Fill;
use table::PartitionedTable;

/// The most partitions that one build or one backfill builds.
pub(crate) const PARTITIONS_MAX: u64 = 20_000;

/// Brings a table with partitions up to date.
pub(crate) fn build<'a>(
    context: &'a StepContext,
    spec: &'a TableSpec,
    partition: &'a PartitionSpec,
) -> BoxFuture<'a, Result<StepResult, EngineError>> {
    Box::pin(async move {
        let mut table = PartitionedTable::open(context, spec, partition).await?;
        let found = table.survey(context.forced || context.full_refresh, true).await?;
        table.fill(Fill::of_run(found)).await
    })
}

/// How many partitions of an asset are to be built; `None` for none. An asset that was built and of whose partitions nothing is
/// on record has to be looked at.
pub(crate) async fn open_of(world: &World, asset: &AssetId) -> Result<Option<u64>, EngineError> {
    let open = match world.state.partitions(asset).await? {
        Some(states) => states.open().len(),
        None => u64::from(world.state.recorded_of(asset).await?.as_ref().is_some_and(Recorded::was_built)),
    };
    Ok((open > 0).then_some(open))
}
