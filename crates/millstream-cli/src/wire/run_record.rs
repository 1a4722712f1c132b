//! `status --run --json`.

use std::collections::BTreeMap;

use millstream_state::{RunRecord, StepRecord};
use millstream_types::AssetId;
use serde::Serialize;

use super::{LastRun, LastStep};

/// One run as it is remembered.
#[derive(Clone, Debug, Serialize)]
pub struct RunDocument {
    #[serde(flatten)]
    pub run: LastRun,
    /// In the order in which they ended.
    pub steps: Vec<RunStep>,
    /// The versions that readers took once the run was over, by asset; absent when it published none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<BTreeMap<String, i64>>,
}

/// One step of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunStep {
    pub asset: String,
    #[serde(flatten)]
    pub step: LastStep,
}

impl RunDocument {
    /// The document of a run with its steps and its set.
    #[must_use]
    pub fn new(run: &RunRecord, steps: &[StepRecord], set: Option<&BTreeMap<AssetId, i64>>) -> Self {
        let step = |step: &StepRecord| {
            let command = Some(run.command.clone());
            RunStep { asset: step.asset.to_string(), step: LastStep { command, ..LastStep::from(step) } }
        };
        Self {
            run: LastRun::from(run),
            steps: steps.iter().map(step).collect(),
            set: set.map(|set| set.iter().map(|(id, version)| (id.to_string(), *version)).collect()),
        }
    }
}
