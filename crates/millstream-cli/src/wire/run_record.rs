//! `status --run --json`, and a run over HTTP.

use millstream_api::{
    figures::Cost,
    runs::{LastRun, LastStep, LogLine, RunDetail, RunInfo, RunStep},
};
use millstream_state::{RunRecord, StepLogLine, StepRecord};

use super::{Of, instant, total};
use crate::{commands::runs::critical_path, runs::RunInFull};

impl Of<&RunRecord> for RunInfo {
    fn of(run: &RunRecord) -> Self {
        Self { run: LastRun::of(run), principal: run.principal.clone() }
    }
}

impl Of<&RunInFull> for RunDetail {
    fn of(RunInFull { run, steps, set, log }: &RunInFull) -> Self {
        let step = |step: &StepRecord| {
            let command = Some(run.command.clone());
            RunStep { asset: step.asset.to_string(), step: LastStep { command, ..LastStep::of(step) } }
        };
        Self {
            run: RunInfo::of(run),
            steps: steps.iter().map(step).collect(),
            critical_path: critical_path(steps).iter().map(ToString::to_string).collect(),
            cost: total(steps).as_ref().map(Cost::of),
            set: set.as_ref().map(|set| {
                let kept = set.iter().filter(|(_, version)| !version.is_lost());
                kept.map(|(id, version)| (id.to_string(), version.number())).collect()
            }),
            log: log.iter().map(LogLine::of).collect(),
        }
    }
}

impl Of<&StepLogLine> for LogLine {
    fn of(StepLogLine { asset, line }: &StepLogLine) -> Self {
        Self {
            asset: asset.to_string(),
            at: instant(line.at),
            level: line.level.as_str(),
            message: line.message.clone(),
        }
    }
}
