//! What is known of failures, for people who ask: circuits, assets that are set aside, promises.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use millstream_schedule::{
    Breach, CalendarDay, CircuitState, Promise, PromiseState, RecordedAside, SOURCE_CIRCUIT, calendar,
};
use millstream_types::{AssetId, TimestampMicros};

use super::retries::PROJECT;
use crate::{Engine, EngineError};

/// The microseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A place that steps ask: a connection, or a source without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// The name of the connection, or `source:…`.
    pub name: String,
    pub circuit: CircuitState,
    /// Since when the circuit is not closed.
    pub since: Option<TimestampMicros>,
    /// The attempts in a row that could not reach the place, while its circuit is closed.
    pub failures: usize,
    /// The retries of the last hour that count against a budget of the connection's own.
    pub retries: u64,
    /// How many an hour may hold, where the connection says so.
    pub retries_max: Option<u32>,
}

/// The retries of the last hour, and how many it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriesStatus {
    pub used: u64,
    pub most: u32,
}

/// A promise about an asset, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseStatus {
    pub asset: AssetId,
    pub promise: Promise,
    /// What is promised: `fresh by 09:00 Europe/Berlin`.
    pub words: String,
    /// `None` where no process has watched the promise yet.
    pub state: Option<PromiseState>,
    /// The days, the oldest first; empty where no process has watched.
    pub days: Vec<CalendarDay>,
    /// The stretches of these days in which the promise was broken, the oldest first.
    pub breaches: Vec<Breach>,
}

impl Engine {
    /// Every connection, and every source without one of whose place something is known; by name.
    pub fn connections(&self) -> BoxFuture<'_, Result<Vec<ConnectionStatus>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            world.refresh_circuits().await?;
            let mut circuits = world.circuit_states();
            // What the project has no more is asked by nobody.
            circuits.retain(|name, _| world.source_circuits.values().any(|known| known == name));
            let budgets = world.state.retry_budgets().await?;
            let now = world.options.clock.now();
            let connections = &world.project.spec.connections;
            let mut names: Vec<&String> = connections.iter().map(|connection| &connection.name).collect();
            names.extend(circuits.keys().filter(|name| name.starts_with(SOURCE_CIRCUIT)));
            names.sort();
            let status = |name: &String| {
                let known = circuits.get(name);
                let own = connections.iter().find(|connection| connection.name == *name);
                ConnectionStatus {
                    name: name.clone(),
                    circuit: known.map_or(CircuitState::Closed, |(_, state)| *state),
                    since: known.and_then(|(circuit, _)| Some(circuit.open?.since)),
                    failures: known.map_or(0, |(circuit, _)| circuit.failures.len()),
                    retries: budgets.get(name).map_or(0, |budget| budget.used(now)),
                    retries_max: own.and_then(|own| own.retry_budget),
                }
            };
            Ok(names.into_iter().map(status).collect())
        })
    }

    /// The retries of the last hour of all assets together.
    pub fn retries(&self) -> BoxFuture<'_, Result<RetriesStatus, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let budgets = world.state.retry_budgets().await?;
            let used = budgets.get(PROJECT).map_or(0, |budget| budget.used(world.options.clock.now()));
            Ok(RetriesStatus { used, most: world.project.spec.retry_budget })
        })
    }

    /// The assets that are set aside.
    pub fn aside(&self) -> BoxFuture<'_, Result<BTreeMap<AssetId, RecordedAside>, EngineError>> {
        Box::pin(async move {
            let scheduled = self.world().state.scheduled_assets().await?;
            Ok(scheduled.into_iter().filter_map(|found| Some((found.asset, found.aside?))).collect())
        })
    }

    /// Asks for an asset that was set aside: the process that schedules the project lets it run by itself again. Once this
    /// returns, no crash loses it. An asset that is not set aside begins to count its failures anew.
    pub fn resume<'a>(&'a self, asset: &'a AssetId) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let world = self.world();
            if world.project.graph.get(asset).is_none() {
                let known = world.project.graph.assets().iter().map(|known| known.id.as_str());
                let nearest = millstream_project::nearest(asset.as_str(), known).map(str::to_owned);
                return Err(EngineError::UnknownAsset { name: asset.to_string(), nearest });
            }
            if world.project.graph.get(asset).is_some_and(|asset| asset.passes_through) {
                return Err(EngineError::Request {
                    message: format!("`{asset}` is a SQL view: nothing of it is stored, so it never runs"),
                    hint: Some("resume a table that reads it".to_owned()),
                });
            }
            Ok(world.state.ask_to_resume(asset, world.options.clock.now()).await?)
        })
    }

    /// The promises of all assets, or of one, with the last `days` days of each.
    pub fn promises<'a>(
        &'a self,
        asset: Option<&'a AssetId>,
        days: u32,
    ) -> BoxFuture<'a, Result<Vec<PromiseStatus>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let now = world.options.clock.now();
            let since =
                TimestampMicros(now.0.saturating_sub(i64::from(days).saturating_add(1).saturating_mul(DAY)));
            let watched = world.state.sla_promises().await?;
            let breaches = world.state.sla_breaches(since).await?;
            let mut found = Vec::new();
            let asked = world.steps.iter().filter(|(id, _)| asset.is_none_or(|asset| asset == *id));
            for (id, steps) in asked {
                let of_asset = breaches.get(id).map(Vec::as_slice).unwrap_or_default();
                for promise in steps.sla.promises() {
                    let known = watched.get(id).and_then(|all| all.iter().find(|one| one.promise == promise));
                    let of_promise = of_asset.iter().filter(|breach| breach.promise == promise);
                    found.push(PromiseStatus {
                        asset: id.clone(),
                        promise,
                        words: steps.sla.words(promise),
                        state: known.map(|known| known.state),
                        days: known
                            .map(|known| calendar(&steps.sla, known, of_asset, days.into(), now))
                            .unwrap_or_default(),
                        breaches: of_promise.copied().collect(),
                    });
                }
            }
            Ok(found)
        })
    }
}
