//! The history of runs, shortened as the policy says, and the records of housekeeping itself after a maintenance by hand.

use millstream_state::{Forget, Forgotten, HousekeepingRecord};

use super::{WHOLE, ago, served};
use crate::{EngineError, assets::dataset, engine::World, lease::Lease};

/// Forgets history that is older than the project's policy keeps it.
pub(crate) async fn forget(world: &World) -> Result<Forgotten, EngineError> {
    let (policy, now) = (&world.project.spec.housekeeping, world.options.clock.now());
    let forget = Forget { runs: ago(now, policy.runs.as_std()), metrics: ago(now, policy.metrics.as_std()) };
    let forgotten = world.state.forget(&forget).await?;
    let served = served::forget(world, ago(now, policy.served.as_std())).await?;
    if served > 0 {
        tracing::info!(rows = served, "old served values were forgotten");
    }
    let versions = dataset::forget(world).await?;
    if versions > 0 {
        tracing::info!(versions, "old versions of datasets were forgotten");
    }
    Ok(forgotten)
}

/// Records that everything was tidied by a command. A project that no server tidies has nothing on record, and that stays so.
pub(crate) async fn record_all_well(world: &World, lease: &Lease) -> Result<(), EngineError> {
    for record in world.state.housekeeping().await? {
        if record.name == WHOLE {
            let ended = Some(world.options.clock.now());
            let whole = HousekeepingRecord { ended, failures: 0, error: None, code: None, ..record };
            world.state.record_housekeeping(lease.token, &whole).await?;
        } else {
            world.state.forget_housekeeping(lease.token, &record.name).await?;
        }
    }
    Ok(())
}
