//! Whether an attempt may follow on one that failed: its circuit may be open, and the retries of the hour may be used up.

use std::collections::BTreeSet;

use millstream_plan::{AssetStatus, Recorded};
use millstream_schedule::CircuitState;
use millstream_types::AssetId;

use super::{ErrorClass, circuits::is_open};
use crate::{
    EngineError, Publisher,
    engine::World,
    error::told,
    run::{NextAttempt, StepRules},
};

/// The name of the budget that all assets share. No connection has an empty name.
pub(crate) const PROJECT: &str = "";

impl World {
    /// How the steps of the asset are tried.
    pub(crate) fn step_rules(&self, asset: &AssetId) -> StepRules {
        let steps = self.steps.get(asset);
        StepRules {
            retrying: steps.map(|steps| steps.retrying).unwrap_or_default(),
            timeout: steps
                .and_then(|steps| steps.timeout)
                .map(|span| std::time::Duration::from_millis(span.ms())),
        }
    }

    /// An attempt has failed, and another one would follow. Says whether it may.
    pub(crate) async fn attempt_failed(
        &self,
        asset: &AssetId,
        error: &EngineError,
        wants_another: bool,
        events: &Publisher,
    ) -> NextAttempt {
        let circuit = self.source_circuits.get(asset);
        let learnt = match circuit {
            Some(name) => self.learn(name, error, events).await,
            None => Ok(None),
        };
        let refused = match learnt {
            Ok(Some(refused)) => Ok(Some(refused)),
            Ok(None) if wants_another => self.spend(circuit).await,
            Ok(None) => Ok(None),
            Err(fault) => Err(fault),
        };
        match refused {
            Ok(None) => NextAttempt::May,
            Ok(Some(because)) => NextAttempt::Refused { because },
            // A store that is away for a moment keeps nothing from being tried again.
            Err(fault) => {
                let (code, fault) = (fault.code(), told(&fault));
                tracing::warn!(%asset, code, fault, "what an attempt tells of its place was not recorded");
                NextAttempt::May
            }
        }
    }

    /// A source was looked at before its step, and gave the parts that wait or a fault. While the circuit is closed a step follows on a
    /// fault, whose attempts count. Otherwise the look was the probe.
    pub(crate) async fn looked_before_step(
        &self,
        asset: &AssetId,
        found: Result<&[String], &EngineError>,
        events: &Publisher,
    ) {
        if found.is_ok() || self.has_open_circuit(asset) {
            self.looked(asset, found, events).await;
        }
    }

    /// A source was looked at, and gave the parts that wait or a fault. A place that lists what it has may still let nobody read it, so
    /// that a look that finds something says nothing yet.
    pub(crate) async fn looked(
        &self,
        asset: &AssetId,
        found: Result<&[String], &EngineError>,
        events: &Publisher,
    ) {
        match found {
            Err(fault) => drop(self.attempt_failed(asset, fault, false, events).await),
            Ok([]) => self.has_read_all(asset, events).await,
            Ok(_) => {}
        }
    }

    /// Nothing of the source waits to be read, which is as good as an attempt that ended well. Where other sources share the circuit, it
    /// says nothing of attempts that count while the circuit is closed, since these may be of one that is tried again right now; and
    /// nothing at all while one of them has failed, whose next step tells.
    async fn has_read_all(&self, asset: &AssetId, events: &Publisher) {
        let Some(name) = self.source_circuits.get(asset).filter(|name| !self.circuits.is_sound(name)) else {
            return;
        };
        let sharing = self.source_circuits.iter().filter(|(_, circuit)| *circuit == name);
        let sharing: BTreeSet<AssetId> = sharing.map(|(asset, _)| asset.clone()).collect();
        if sharing.len() > 1 && !self.has_open_circuit(asset) {
            return;
        }
        match self.state.recorded_among(&sharing).await {
            Ok(recorded) => {
                let has_failed = |known: &Recorded| matches!(known.status, AssetStatus::Failed { .. });
                if !recorded.values().any(has_failed) {
                    self.attempt_ended(asset, events).await;
                }
            }
            Err(error) => tracing::warn!(%asset, %error, "that a place answers was not recorded"),
        }
    }

    /// An attempt has ended without an error.
    pub(crate) async fn attempt_ended(&self, asset: &AssetId, events: &Publisher) {
        let Some(name) = self.source_circuits.get(asset) else { return };
        if let Err(fault) = self.has_answered(name, events).await {
            let (code, fault) = (fault.code(), told(&fault));
            tracing::warn!(%asset, code, fault, "that a place answers was not recorded");
        }
    }

    /// What the error tells of the place; why nobody may ask it again now, if that is so.
    async fn learn(
        &self,
        name: &str,
        error: &EngineError,
        events: &Publisher,
    ) -> Result<Option<String>, EngineError> {
        // A place that lets everybody wait until the time is up answers as little as one that nobody reaches.
        let is_silent = matches!(error, EngineError::TimedOut { .. });
        if error.class() != ErrorClass::Unavailable && !is_silent {
            // A place that asks for a wait is there, but may be about to go.
            if error.is_answer() {
                self.has_answered(name, events).await?;
            }
            return Ok(None);
        }
        Ok(match self.could_not_reach(name, events).await? {
            CircuitState::Open { until } => Some(is_open(name, until)),
            CircuitState::Closed | CircuitState::HalfOpen => None,
        })
    }

    /// Takes a retry out of the budgets of the hour; why that cannot be, if it cannot.
    async fn spend(&self, circuit: Option<&String>) -> Result<Option<String>, EngineError> {
        let now = self.options.clock.now();
        let connections = self.project.spec.connections.iter();
        let own = circuit.and_then(|name| connections.clone().find(|connection| connection.name == *name));
        if let Some((connection, most)) = own.and_then(|own| Some((own, own.retry_budget?)))
            && !self.state.change_retry_budget(&connection.name, |budget| budget.take(most, now)).await?
        {
            let name = &connection.name;
            return Ok(Some(format!("the {most} retries of an hour of the connection `{name}` are used up")));
        }
        let most = self.project.spec.retry_budget;
        if !self.state.change_retry_budget(PROJECT, |budget| budget.take(most, now)).await? {
            // A retry that does not begin counts for nobody.
            if let Some(own) = own.filter(|own| own.retry_budget.is_some()) {
                self.state.change_retry_budget(&own.name, |budget| budget.give_back(now)).await?;
            }
            return Ok(Some(format!("the {most} retries of an hour of the project are used up")));
        }
        Ok(None)
    }
}
