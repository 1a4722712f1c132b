//! Who waits for assets has the next turn at them. A command needs all of its assets at once, while a process that schedules the
//! project starts one step as soon as another has ended: without turns, some asset would always be taken, and the command would
//! wait for ever.
//!
//! A turn is a lease of names that are no assets, each made of an asset's. It keeps nobody from the assets but steps that a schedule
//! starts, see [`of_another`], and another command that waits, whose turn comes afterwards. It lasts for a bounded time, so that a
//! command which waits for one long step does not keep the whole project from being scheduled meanwhile.

use std::time::{Duration, Instant};

use millstream_state::{Holder, LeaseRequest, LeaseToken, Mark, StateError};
use millstream_types::AssetId;

use crate::{EngineError, engine::World, error::told};

/// The beginning of the name that is leased for the turn at an asset.
const TURN: &str = "turn ";

/// How long the first turn lasts. The schedule then goes on for as long, and each further turn lasts twice as long as the one before:
/// however long steps take, one turn is long enough.
const FIRST: Duration = Duration::from_secs(600);

/// How long the lease of a turn lasts when it is not prolonged, and how often that is done.
const LENGTH: Duration = Duration::from_secs(90);
const BEAT: Duration = Duration::from_secs(20);

/// How long the end of a turn waits for the state store.
const END_MAX: Duration = Duration::from_secs(2);

/// The turn of one command that waits.
pub(crate) struct Turn<'a> {
    world: &'a World,
    names: Vec<AssetId>,
    holder: &'a Holder,
    held: Option<Held>,
    /// When the turn is over, or when another one is asked for.
    change_at: Instant,
    length: Duration,
}

/// A turn that is held, and the file by which others see that its process lives.
struct Held {
    token: LeaseToken,
    mark: Option<Mark>,
    renewed: Instant,
}

impl<'a> Turn<'a> {
    /// The turn at those of the assets that the project has, not yet asked for.
    pub(crate) fn new(world: &'a World, assets: &[AssetId], holder: &'a Holder) -> Self {
        let graph = &world.project.graph;
        let names = assets.iter().filter(|asset| graph.get(asset).is_some()).map(name_of).collect();
        Self { world, names, holder, held: None, change_at: Instant::now(), length: FIRST }
    }

    /// Asks for the turn, prolongs it, or lets the schedule go on for a while, whichever the time has come for. Should the state store
    /// be away, the command waits on without a turn.
    pub(crate) async fn look(&mut self) {
        let now = Instant::now();
        if self.names.is_empty() {
            return;
        }
        match &mut self.held {
            None if now >= self.change_at => self.ask().await,
            Some(_) if now >= self.change_at => {
                self.end().await;
                self.change_at = now + self.length;
                self.length = self.length.saturating_mul(2);
            }
            Some(held) if now.duration_since(held.renewed) >= BEAT => {
                let clock = &self.world.options.clock;
                match self.world.state.renew_lease(held.token, clock.now(), LENGTH).await {
                    Ok(()) => held.renewed = now,
                    Err(StateError::LeaseLost) => self.held = None,
                    Err(error) => tracing::debug!(error = told(&error), "a turn was not prolonged"),
                }
            }
            _ => {}
        }
    }

    async fn ask(&mut self) {
        let (clock, folder) = (&self.world.options.clock, &self.world.state_dir);
        let mark = Mark::make(folder, &uuid::Uuid::now_v7().to_string()).ok();
        // The file of the lease that is waited for would make both one.
        let holder = Holder { mark: None, ..self.holder.clone() };
        let holder = match &mark {
            Some(mark) => holder.with_mark(mark),
            None => holder,
        };
        let request = LeaseRequest { assets: &self.names, holder: &holder, now: clock.now(), length: LENGTH };
        let now = Instant::now();
        match self.world.state.take_lease(&request).await {
            Ok(token) => {
                self.held = Some(Held { token, mark, renewed: now });
                self.change_at = now + self.length;
            }
            Err(error) => {
                mark.iter().for_each(Mark::remove);
                // Another command waits for one of the assets, and its turn comes first.
                if !matches!(error, StateError::Locked { .. }) {
                    tracing::debug!(error = told(&error), "a turn could not be asked for");
                }
            }
        }
    }

    /// Gives the turn back, if it is held. What is not given back ends by itself.
    pub(crate) async fn end(&mut self) {
        let Some(held) = self.held.take() else { return };
        let ended = self.world.state.end_lease(held.token);
        if let Ok(Ok(())) = tokio::time::timeout(END_MAX, ended).await {
            held.mark.iter().for_each(Mark::remove);
        }
    }
}

/// Who waits for the asset and has the next turn at it, as the error that keeps a step away.
pub(crate) async fn of_another(world: &World, asset: &AssetId) -> Result<Option<StateError>, EngineError> {
    let (now, turn) = (world.options.clock.now(), name_of(asset));
    let found = world.state.leases(now).await?.into_iter().find(|lease| lease.assets.contains(&turn));
    Ok(found.map(|lease| {
        let age = lease.holder.age(now);
        StateError::Locked { asset: asset.clone(), holder: Box::new(lease.holder), age }
    }))
}

/// Whether the name that is leased is a turn's.
pub(crate) fn is_turn(name: &AssetId) -> bool {
    name.as_str().starts_with(TURN)
}

/// The asset whose turn has this name, or the name of an asset itself.
pub(crate) fn asset_of(name: AssetId) -> AssetId {
    match name.as_str().strip_prefix(TURN) {
        Some(asset) => AssetId::new(asset),
        None => name,
    }
}

fn name_of(asset: &AssetId) -> AssetId {
    AssetId::new(&format!("{TURN}{asset}"))
}
