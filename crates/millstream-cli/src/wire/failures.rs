//! Circuits, assets that are set aside, promises, and assets that are stale, as `--json` and HTTP say them.

use millstream_api::failures::{
    BreachAnswer, ConnectionState, PromiseAnswer, PromiseDay, RepairInfo, StaleAsset, StaleMark,
};
use millstream_engine::{ConnectionStatus, PromiseStatus, RepairRecord, Stale};
use millstream_schedule::{Breach, CalendarDay, CircuitState, PromiseState};
use millstream_types::AssetId;

use super::{Of, instant};

impl Of<&ConnectionStatus> for ConnectionState {
    fn of(connection: &ConnectionStatus) -> Self {
        let until = match connection.circuit {
            CircuitState::Open { until } => Some(instant(until)),
            CircuitState::Closed | CircuitState::HalfOpen => None,
        };
        Self {
            name: connection.name.clone(),
            circuit: connection.circuit.as_str(),
            since: connection.since.map(instant),
            until,
            failures: connection.failures,
            retries: connection.retries_max.map(|_| connection.retries),
            retries_max: connection.retries_max,
        }
    }
}

impl Of<&RepairRecord> for RepairInfo {
    fn of(repair: &RepairRecord) -> Self {
        Self {
            asset: repair.asset.to_string(),
            code: repair.code.clone(),
            cause: repair.cause.clone(),
            action: repair.action.as_str(),
            found: instant(repair.found),
            state: repair.state.as_str(),
            ended: repair.ended.map(instant),
            message: repair.message.clone(),
        }
    }
}

impl Of<&Stale> for StaleMark {
    fn of(stale: &Stale) -> Self {
        Self {
            since: stale.since.map(instant),
            cause: stale.cause.as_str(),
            because: stale.cause.to_string(),
        }
    }
}

impl Of<(&AssetId, &Stale)> for StaleAsset {
    fn of((asset, stale): (&AssetId, &Stale)) -> Self {
        Self { asset: asset.to_string(), mark: StaleMark::of(stale) }
    }
}

impl Of<&PromiseStatus> for PromiseAnswer {
    fn of(promise: &PromiseStatus) -> Self {
        let (state, broken_since) = match promise.state {
            None => ("unknown", None),
            Some(PromiseState::Kept) => ("kept", None),
            Some(PromiseState::AtRisk) => ("at_risk", None),
            Some(PromiseState::Broken { since }) => ("broken", Some(instant(since))),
        };
        Self {
            asset: promise.asset.to_string(),
            promise: promise.promise.as_str(),
            says: promise.words.clone(),
            state,
            broken_since,
            days: promise.days.iter().map(PromiseDay::of).collect(),
            breaches: promise.breaches.iter().map(BreachAnswer::of).collect(),
        }
    }
}

impl Of<&CalendarDay> for PromiseDay {
    fn of(day: &CalendarDay) -> Self {
        Self { day: day.day.to_string(), state: day.state.as_str() }
    }
}

impl Of<&Breach> for BreachAnswer {
    fn of(breach: &Breach) -> Self {
        Self { broken_at: instant(breach.broken_at), met_at: breach.met_at.map(instant) }
    }
}
