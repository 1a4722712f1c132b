//! Decisions: recorded first, all of one call together, and then carried out.

use std::collections::BTreeSet;

use millstream_schedule::{Decision, DueReason, RecordedAsset};
use millstream_state::{DecisionKind, LoggedDecision, ScheduleRecord};
use millstream_types::{AssetId, TimestampMicros};

use super::tenure::Tenure;
use crate::EngineError;

/// So many reasons are named in a line.
const NAMED_MAX: usize = 4;

impl Tenure {
    /// Records what the scheduler decided, and what it was told of the assets `told`; then acts on it.
    pub(super) async fn carry_out(
        &mut self,
        decisions: Vec<Decision>,
        told: &[AssetId],
    ) -> Result<(), EngineError> {
        let mut changed: BTreeSet<AssetId> =
            told.iter().filter(|asset| self.recorded.contains_key(*asset)).cloned().collect();
        for decision in &decisions {
            for asset in changed_by(decision) {
                let recorded = self.recorded.entry(asset.clone());
                recorded.or_insert_with(|| RecordedAsset::new(asset.clone())).apply(decision);
                changed.insert(asset.clone());
            }
        }
        let now = self.now();
        let logged: Vec<LoggedDecision> =
            decisions.iter().flat_map(|decision| log(decision, now, &mut self.logged)).collect();
        if !changed.is_empty() || !logged.is_empty() {
            let assets: Vec<RecordedAsset> =
                changed.iter().filter_map(|asset| self.recorded.get(asset)).cloned().collect();
            let record = ScheduleRecord { lease: self.lease.token, assets: &assets, decisions: &logged };
            self.engine.world().state.record_schedule(&record).await?;
        }
        for decision in &decisions {
            self.act(decision);
        }
        Ok(())
    }

    fn act(&mut self, decision: &Decision) {
        match decision {
            Decision::Start(start) => start.steps.iter().for_each(|step| self.start(step)),
            Decision::Look { asset } => self.look(asset),
            Decision::Skip { asset, because, .. } => {
                tracing::info!(%asset, because = %because, "a step is skipped");
            }
            Decision::NotNow { asset, because } => {
                tracing::debug!(%asset, because = %because, "a step waits");
            }
            Decision::Noted { .. } | Decision::Watch { .. } | Decision::Unwatch { .. } => {}
        }
    }
}

/// The reasons in one line.
pub(super) fn reasons(reasons: &[DueReason]) -> String {
    let mut text = reasons.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let more @ 1.. = reasons.len().saturating_sub(NAMED_MAX) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// The assets of whose record the decision changes something.
fn changed_by(decision: &Decision) -> Vec<&AssetId> {
    match decision {
        Decision::Start(start) => start.steps.iter().map(|step| &step.asset).collect(),
        Decision::Skip { asset, .. }
        | Decision::Noted { asset, .. }
        | Decision::Watch { asset, .. }
        | Decision::Unwatch { asset, .. } => vec![asset],
        Decision::NotNow { .. } | Decision::Look { .. } => Vec::new(),
    }
}

/// The lines of the log about a decision.
fn log(decision: &Decision, at: TimestampMicros, number: &mut i64) -> Vec<LoggedDecision> {
    let mut line = |asset: &AssetId, kind, because| {
        *number += 1;
        LoggedDecision { number: *number, at, asset: asset.clone(), kind, because }
    };
    match decision {
        Decision::Start(start) => {
            let steps = start.steps.iter();
            steps.map(|step| line(&step.asset, DecisionKind::Started, reasons(&step.reasons))).collect()
        }
        Decision::Skip { asset, because, .. } => {
            vec![line(asset, DecisionKind::Skipped, because.to_string())]
        }
        Decision::NotNow { asset, because } => vec![line(asset, DecisionKind::Held, because.to_string())],
        Decision::Noted { .. }
        | Decision::Look { .. }
        | Decision::Watch { .. }
        | Decision::Unwatch { .. } => Vec::new(),
    }
}
