//! `status --run --json`, and a run over HTTP.

use std::collections::BTreeMap;

use millstream_api::{
    figures::Cost,
    runs::{LastRun, LastStep, RunDetail, RunInfo, RunStep},
};
use millstream_state::{RunRecord, StepRecord};
use millstream_types::{AssetId, AssetVersion};

use super::{Of, total};
use crate::commands::runs::critical_path;

impl Of<&RunRecord> for RunInfo {
    fn of(run: &RunRecord) -> Self {
        Self { run: LastRun::of(run), principal: run.principal.clone() }
    }
}

/// A run with its steps, and the set of versions that it published.
impl Of<(&RunRecord, &[StepRecord], Option<&BTreeMap<AssetId, AssetVersion>>)> for RunDetail {
    fn of((run, steps, set): (&RunRecord, &[StepRecord], Option<&BTreeMap<AssetId, AssetVersion>>)) -> Self {
        let step = |step: &StepRecord| {
            let command = Some(run.command.clone());
            RunStep { asset: step.asset.to_string(), step: LastStep { command, ..LastStep::of(step) } }
        };
        Self {
            run: RunInfo::of(run),
            steps: steps.iter().map(step).collect(),
            critical_path: critical_path(steps).iter().map(ToString::to_string).collect(),
            cost: total(steps).as_ref().map(Cost::of),
            set: set.map(|set| {
                let kept = set.iter().filter(|(_, version)| !version.is_lost());
                kept.map(|(id, version)| (id.to_string(), version.number())).collect()
            }),
        }
    }
}
