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
mod settle;
mod survey;
mod table;

use futures::future::BoxFuture;
use millstream_plan::Recorded;
use millstream_project::{PartitionSpec, TableSpec};

use crate::{
    EngineError,
    engine::{StepContext, World},
    run::StepResult,
};

pub use backfill::{BackfillPreview, BackfillReport, BackfillRequest, BackfillWish};
pub use overview::{BrokenPartition, PartitionOverview, PartitionRange};

use chunks::Fill;
use table::PartitionedTable;

/// The usual value of [`EngineOptions::partitions_max`](crate::EngineOptions::partitions_max).
pub const PARTITIONS_MAX: u64 = 20_000;

/// Brings a table with partitions up to date.
pub(crate) fn build<'a>(
    context: &'a StepContext,
    spec: &'a TableSpec,
    partition: &'a PartitionSpec,
) -> BoxFuture<'a, Result<StepResult, EngineError>> {
    Box::pin(async move {
        let surveyed = async {
            let mut table = PartitionedTable::open(context, spec, partition).await?;
            let found = table.survey(context.forced || context.full_refresh, true).await?;
            Ok((table, found))
        };
        let (mut table, found) = context.unless_cancelled(surveyed).await?;
        table.fill(Fill::of_run(found)).await
    })
}

/// What of a table is to be done, whether or not its inputs have changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenPartitions {
    /// How many partitions are to be built. A table that was built and of whose partitions nothing is on record has to be looked
    /// at, and so has one with rejected rows of which nobody knows whether they are still rightly kept out.
    pub count: u64,
    /// Whether rows are kept out because of what other tables hold.
    pub has_kept_out: bool,
}

pub(crate) async fn open_of(world: &World, spec: &TableSpec) -> Result<OpenPartitions, EngineError> {
    let asset = &spec.name.asset_id();
    Ok(match world.state.partitions(asset).await? {
        Some(states) => OpenPartitions {
            count: match states.open().len() {
                0 => u64::from(!settle::is_settled(world, spec, &states).await?),
                open => open,
            },
            has_kept_out: states.settled.keys().any(|known| known != asset),
        },
        None => {
            let recorded = world.state.recorded_of(asset).await?;
            let count = u64::from(recorded.as_ref().is_some_and(Recorded::was_built));
            OpenPartitions { count, has_kept_out: false }
        }
    })
}
