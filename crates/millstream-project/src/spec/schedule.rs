//! When an asset runs by itself.

use millstream_schedule::{Schedule, Trigger};
use millstream_types::AssetId;

use crate::{Located, Location};

/// What stands under `schedule`, with the places of what it names.
#[derive(Clone, Debug)]
pub struct ScheduleSpec {
    pub at: Location,
    /// The triggers as they are written, without those that an asset has by itself.
    pub schedule: Schedule,
    /// The assets that this one runs after.
    pub after: Vec<Located<AssetId>>,
    pub pools: Vec<Located<String>>,
    /// The place of `new_files`, which only sources of files can have.
    pub new_files: Option<Location>,
}

impl ScheduleSpec {
    /// The schedule of an asset that by itself runs by `own`, and beside it as is written. One that runs by hand alone no
    /// longer does where another trigger is written.
    #[must_use]
    pub fn beside(own: Trigger, written: Option<&Self>) -> Schedule {
        let mut schedule = written.map(|written| written.schedule.clone()).unwrap_or_default();
        if own != Trigger::Manual || schedule.triggers.is_empty() {
            schedule.triggers.insert(0, own);
        }
        schedule
    }
}
