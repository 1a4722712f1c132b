//! `schedule --json`.

use millstream_api::schedule::{AssetSchedule, Tick};
use millstream_plan::AssetTicks;
use millstream_schedule::{CatchUp, Trigger, Upcoming};

use super::{Of, instant};

impl Of<&AssetTicks> for AssetSchedule {
    fn of(asset: &AssetTicks) -> Self {
        let schedule = &asset.schedule;
        Self {
            asset: asset.asset.to_string(),
            triggers: schedule.triggers.iter().map(ToString::to_string).collect(),
            catch_up: match schedule.catch_up {
                CatchUp::Latest => "latest",
                CatchUp::All => "all",
                CatchUp::None => "none",
            },
            priority: schedule.priority,
            pools: schedule.pools.clone(),
            ticks: asset.ticks.iter().map(Tick::of).collect(),
        }
    }
}

impl Of<&Upcoming> for Tick {
    fn of(tick: &Upcoming) -> Self {
        Self {
            at: instant(tick.at),
            because: tick.trigger.to_string(),
            is_estimate: matches!(tick.trigger, Trigger::Freshness(_)),
        }
    }
}
