//! Repairs: what is derived and found damaged is made again, within bounds, and always on record with its cause and what was done.
//!
//! Whoever meets damage records it: a step, a command, a read of features. The process that runs the project by its triggers finds the
//! record and starts a step that makes the asset again as a whole; so does a person by `millstream run --full-refresh`, whose step ends
//! the repair too. What is made of nothing else, such as landed rows or a history, is left as it is, with an alarm.

mod damage;
mod known;
mod online;

use millstream_lake::{At, DamagedFile};
use millstream_plan::AssetFacts;
use millstream_state::{NewRepair, RepairAction, RepairState};
use millstream_types::{AssetId, TableName, TimestampMicros};

use crate::{EngineError, Event, Publisher, engine::World, error::told};
use damage::{Damage, damage};

/// So many repairs of one asset begin by themselves within a day.
const REPAIRS_MAX: u64 = 3;

/// The microseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

impl World {
    /// An attempt or a read has ended with this error. Where it tells of damage, that is recorded, and told once. A state store that is
    /// away keeps nothing from going on; the next one who meets the damage records it.
    pub(crate) async fn look_for_damage(&self, error: &EngineError, events: &Publisher) {
        let Some(found) = damage(error) else { return };
        if let Err(fault) = self.found_damage(&found, events).await {
            let (asset, code, fault) = (&found.asset, fault.code(), told(&fault));
            tracing::warn!(%asset, code, fault, "damage was found and not recorded");
        }
    }

    async fn found_damage(&self, found: &Damage, events: &Publisher) -> Result<(), EngineError> {
        let Damage { asset, code, cause, file } = found;
        let Some(facts) = self.project.graph.get(asset) else { return Ok(()) };
        if let Some(file) = file
            && !self.has_file(file).await?
        {
            return Ok(());
        }
        let action = self.remedy(facts);
        let (state, then) = if action == RepairAction::Leave {
            (RepairState::GivenUp, "it cannot be made again of anything else, and is left as it is")
        } else if may_begin(self, asset).await? {
            (RepairState::Due, "it is made again")
        } else {
            (RepairState::GivenUp, "it was made again too often today, and is left as it is")
        };
        let now = self.options.clock.now();
        let (asset, code, cause) = (asset.clone(), (*code).to_owned(), cause.clone());
        let repair = NewRepair { asset, code, cause, action, found: now, state };
        if self.state.begin_repair(&repair).await? {
            let NewRepair { asset, code, cause, .. } = &repair;
            let message = format!("`{asset}` is damaged: {cause} ({code}); {then}");
            tracing::warn!(%asset, code, "{message}");
            events.publish(Event::Alarm { about: asset.to_string(), message, is_over: false });
        }
        Ok(())
    }

    /// Whether the newest version of its table has the file. What is gone of an earlier one is not damage: it was cleaned up.
    async fn has_file(&self, file: &DamagedFile) -> Result<bool, EngineError> {
        let newest = self.lake.snapshot(&file.table, At::Latest).await?;
        Ok(newest.is_some_and(|newest| newest.files().iter().any(|known| known.path() == file.path)))
    }

    /// What may be done about damage of the asset. A table whose rows came from outside, or that keeps what is nowhere else, is not
    /// touched.
    fn remedy(&self, facts: &AssetFacts) -> RepairAction {
        if facts.reads_outside || facts.passes_through {
            return RepairAction::Leave;
        }
        let table = facts.id.as_str().parse::<TableName>().ok();
        let spec = table.and_then(|table| self.project.table(&table));
        match spec.is_some_and(|spec| spec.materialize.keeps_states()) {
            true => RepairAction::Leave,
            false => RepairAction::Rebuild,
        }
    }

    /// The asset was made again as a whole. The all-clear is told once, if something was on record.
    pub(crate) async fn repaired(&self, asset: &AssetId, events: &Publisher) {
        let (from, now) = ([RepairState::Due, RepairState::GivenUp], self.options.clock.now());
        match self.state.end_repairs(asset, &from, RepairState::Repaired, None, now).await {
            Ok(0) => {}
            Ok(_) => {
                let message = format!("`{asset}` is sound again: it was made anew");
                tracing::warn!(%asset, "{message}");
                events.publish(Event::Alarm { about: asset.to_string(), message, is_over: true });
            }
            Err(error) => tracing::warn!(%asset, %error, "that an asset is sound again was not recorded"),
        }
    }

    /// The attempt to make the asset again has ended badly.
    pub(crate) async fn not_repaired(&self, asset: &AssetId, because: &str) {
        let (from, now) = ([RepairState::Due], self.options.clock.now());
        let ended = self.state.end_repairs(asset, &from, RepairState::Failed, Some(because), now).await;
        if let Err(error) = ended {
            tracing::warn!(%asset, %error, "how a repair ended was not recorded");
        }
    }
}

/// Whether a repair of the asset is under way.
pub(crate) async fn is_due(world: &World, asset: &AssetId) -> Result<bool, EngineError> {
    let open = world.state.open_repairs().await?;
    Ok(open.iter().any(|repair| repair.asset == *asset && repair.state == RepairState::Due))
}

/// Whether one more repair of the asset may begin by itself.
pub(crate) async fn may_begin(world: &World, asset: &AssetId) -> Result<bool, EngineError> {
    let since = TimestampMicros(world.options.clock.now().0.saturating_sub(DAY));
    Ok(world.state.repairs_since(asset, since).await? < REPAIRS_MAX)
}
