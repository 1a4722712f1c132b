//! What the scheduler is told of an asset, and how much may run at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::{NonZeroU32, NonZeroUsize},
};

use millstream_types::{AssetId, CheckId, Fingerprint};

use crate::{CatchUp, Trigger};

/// An asset that steps are made of. SQL views are none: nothing of them is stored, so `inputs` reaches through them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledAsset {
    pub id: AssetId,
    /// Another value says that the asset's definition has changed.
    pub definition: Fingerprint,
    /// The assets whose steps write what the asset reads, directly or through views.
    pub inputs: Vec<AssetId>,
    /// Of some of the inputs, the checks that alone keep the asset waiting when they halt it.
    pub needs: BTreeMap<AssetId, BTreeSet<CheckId>>,
    /// Whether the asset's rows come from outside of the lake, so that only a run of it can tell whether there is something new.
    pub reads_outside: bool,
    pub triggers: Vec<Trigger>,
    pub catch_up: CatchUp,
    /// Among assets that wait, the higher priority goes first. One level is worth [`crate::AGEING`] of waiting.
    pub priority: i8,
    /// The connection through which the asset's step reads.
    pub connection: Option<String>,
    /// The pools in each of which the asset's step takes one place.
    pub pools: Vec<String>,
    /// The circuit of what the asset's step asks outside of the lake. While it is open, the step waits.
    pub circuit: Option<String>,
    /// After so many failures in a row the asset is set aside; never where this is `None`.
    pub set_aside_after: Option<NonZeroU32>,
    /// Whether somebody judges how fresh the asset is, so that it is known also where no trigger asks for it.
    pub is_promised: bool,
}

/// How many steps may run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most steps of all.
    pub steps: NonZeroUsize,
    /// The most steps by connection; a connection that is not named has no limit of its own.
    pub connections: BTreeMap<String, NonZeroUsize>,
    /// The most steps by pool. Each pool that an asset names is here.
    pub pools: BTreeMap<String, NonZeroUsize>,
}

impl Limits {
    /// At most `steps` steps, without connections and pools.
    #[must_use]
    pub fn of(steps: NonZeroUsize) -> Self {
        Self { steps, connections: BTreeMap::new(), pools: BTreeMap::new() }
    }
}
