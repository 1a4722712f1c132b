//! What must hold in every world, looked at while it lives and at its end.

use std::collections::BTreeSet;

use millstream_schedule::{CircuitState, Decision, ScheduledAsset, SkipReason, Trigger};
use millstream_types::AssetId;

use super::world::{Step, WAIT_MAX, World};

impl World {
    /// A step starts: nobody asks a place whose circuit is open, and one asks where it is half-open.
    pub(super) fn check_circuit(&self, asset: &ScheduledAsset) {
        let recorded = &self.ledger.recorded[&asset.id];
        assert!(recorded.aside.is_none(), "`{}` is set aside and starts", asset.id);
        let Some(name) = &asset.circuit else { return };
        match self.places.state(name, self.now()) {
            CircuitState::Closed => {}
            CircuitState::Open { .. } => panic!("`{}` starts although `{name}` is open", asset.id),
            CircuitState::HalfOpen => {
                let since = self.places.probes_since(name).unwrap().0 - self.off;
                let asks = |step: &&Step| {
                    step.circuit.as_ref() == Some(name) && step.wave < u64::MAX && step.began >= since
                };
                assert!(!self.steps.values().any(|step| asks(&step)), "two steps try `{name}`");
            }
        }
    }

    /// Whether the asset waits for a place that does not answer, or for something that does.
    pub(super) fn is_held(&self, asset: &ScheduledAsset) -> bool {
        let is_shut =
            |asset: &ScheduledAsset| asset.circuit.as_ref().is_some_and(|name| !self.places.is_closed(name));
        is_shut(asset) || self.upstream(asset).iter().any(|first| is_shut(self.asset(first)))
    }

    pub(super) fn asset(&self, id: &AssetId) -> &ScheduledAsset {
        self.project.assets.iter().find(|asset| asset.id == *id).unwrap()
    }

    /// What the asset reads, directly or not, as far as it runs by itself.
    pub(super) fn upstream(&self, asset: &ScheduledAsset) -> BTreeSet<AssetId> {
        let mut found = BTreeSet::new();
        let mut ahead: Vec<AssetId> = asset.inputs.clone();
        while let Some(next) = ahead.pop() {
            let next = self.asset(&next);
            let recorded = self.ledger.recorded.get(&next.id);
            if next.triggers.iter().any(|trigger| *trigger != Trigger::Manual)
                && recorded.is_none_or(|recorded| recorded.aside.is_none())
                && found.insert(next.id.clone())
            {
                ahead.extend(next.inputs.iter().cloned());
            }
        }
        found
    }

    pub(super) fn is_stale(&self, id: &AssetId) -> bool {
        let Some(asset) = self.project.assets.iter().find(|asset| asset.id == *id) else { return true };
        let Some(truth) = self.truth.get(id) else { return true };
        let version = |input: &AssetId| self.truth.get(input).map_or(0, |truth| truth.version);
        truth.failed
            || truth.built != Some(asset.definition)
            || asset.inputs.iter().any(|input| truth.read.get(input) != Some(&version(input)))
    }

    pub(super) fn check_skip(&self, decision: &Decision) {
        if let Decision::Skip { asset, because: SkipReason::UpToDate, .. } = decision {
            // What ended a moment ago may not be known yet, and makes it due once it is.
            let is_unknown = |input: &AssetId| self.ends.iter().any(|end| end.asset == *input);
            let of = self.project.assets.iter().find(|known| known.id == *asset);
            let is_excused = of.is_some_and(|asset| asset.inputs.iter().any(is_unknown));
            assert!(is_excused || !self.is_stale(asset), "`{asset}` is skipped as up to date, and is not");
        }
    }

    pub(super) fn check_limits(&self, started: &ScheduledAsset) {
        let limits = &self.project.limits;
        assert!(self.steps.len() <= limits.steps.get(), "too many steps");
        if let Some(name) = &started.connection
            && let Some(max) = limits.connections.get(name)
        {
            let used = self.steps.values().filter(|step| step.connection.as_ref() == Some(name)).count();
            assert!(used <= max.get(), "too many steps over `{name}`");
        }
        for name in &started.pools {
            let used = self.steps.values().filter(|step| step.pools.contains(name)).count();
            assert!(used <= limits.pools[name].get(), "too many steps in `{name}`");
        }
    }

    /// Nothing waits for ever. Where each missed tick has a run of its own, the last of them may wait for long.
    pub(super) fn check_waits(&mut self) {
        if self.scheduler.is_none() {
            return;
        }
        let waiting = self.ledger.waiting(self.now());
        self.waits.retain(|key, _| waiting.contains(key));
        for key in waiting {
            let Some(asset) = self.project.assets.iter().find(|asset| asset.id == key.0) else { continue };
            let catches_all = asset.catch_up == millstream_schedule::CatchUp::All;
            if self.is_held(asset) {
                self.waits.remove(&key);
                continue;
            }
            let since = *self.waits.entry(key.clone()).or_insert(self.time);
            assert!(catches_all || self.time - since < WAIT_MAX, "{key:?} waits for ever");
        }
    }

    /// While nobody disturbs the world, what runs on change comes to be up to date, unless something before it is not.
    pub(super) fn check_stale(&mut self) {
        for asset in
            self.project.assets.clone().iter().filter(|asset| asset.triggers.contains(&Trigger::OnChange))
        {
            let failed = self.truth.get(&asset.id).is_some_and(|truth| truth.failed);
            let is_excused = failed
                || self.ledger.recorded.get(&asset.id).is_some_and(|recorded| recorded.aside.is_some())
                || self.given_up.contains(&asset.id)
                || self.upstream(asset).iter().any(|first| self.is_stale(first));
            if is_excused || !self.is_stale(&asset.id) {
                self.stale.remove(&asset.id);
                continue;
            }
            let since = *self.stale.entry(asset.id.clone()).or_insert(self.time);
            assert!(self.time - since < WAIT_MAX, "`{}` is stale for ever", asset.id);
        }
    }

    pub(super) fn check_end(&self) {
        self.check_recovered();
        for (id, recorded) in &self.ledger.recorded {
            let is_there = self.project.assets.iter().any(|asset| asset.id == *id);
            assert!(
                !is_there || recorded.running.is_none() || self.goes_on(id).is_some(),
                "the step of `{id}` was lost"
            );
        }
    }

    /// What could not be reached was taken up again by itself, and what is set aside is set aside on both sides.
    pub(super) fn check_recovered(&self) {
        let Some(scheduler) = &self.scheduler else { return };
        let mut aside = Vec::new();
        for asset in &self.project.assets {
            let Some(recorded) = self.ledger.recorded.get(&asset.id) else { continue };
            aside.extend(recorded.aside.map(|_| asset.id.clone()));
            let runs = asset.triggers.iter().any(|trigger| *trigger != Trigger::Manual);
            // Somebody else may have made it up to date meanwhile, and what waits for something before it was taken up and skipped.
            let waits = self.upstream(asset).iter().any(|first| self.is_stale(first));
            let has_work = (asset.reads_outside || self.is_stale(&asset.id)) && !waits;
            let is_left = recorded.is_unreachable && runs && has_work && recorded.aside.is_none();
            assert!(!is_left || self.steps.contains_key(&asset.id), "`{}` was not taken up again", asset.id);
        }
        aside.sort();
        assert_eq!(scheduler.aside(), aside);
    }
}
