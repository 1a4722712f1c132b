//! What the run loop adds to a step: `step_overhead N` runs a plan of N empty steps, each recorded as a real one
//! is, and prints `{"seconds": …, "peak_bytes": …}` for all of them. `cargo xtask bench step_overhead` calls it.
#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::{
    error::Error,
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use millstream_engine::{
    EngineError, EventBus, ExecuteOptions, RetryPolicy, StepExecutor, StepOutcome, StepReport, StepResult,
    execute,
};
use millstream_plan::{PlannedStep, Reason, RunPlan};
use millstream_state::{Holder, LeaseRequest, RunStart, State, StepEnd, StepRecord};
use millstream_types::{AssetId, AssetVersion, RunId, TimestampMicros};
use tokio_util::sync::CancellationToken;

/// The number of steps in a chain, each of which waits for the one before, so that the cost of order is part of the figure.
const CHAIN: usize = 10;

struct Empty {
    state: State,
    run: RunId,
}

#[async_trait]
impl StepExecutor for Empty {
    async fn attempt(&self, _step: &PlannedStep) -> Result<StepResult, EngineError> {
        Ok(StepResult::without_rows(StepOutcome::Unchanged, Some(AssetVersion::numbered(0))))
    }

    async fn record(&self, report: &StepReport) -> Result<(), EngineError> {
        let step = StepRecord {
            run: self.run.clone(),
            asset: report.asset.clone(),
            reason: String::new(),
            reason_text: String::new(),
            outcome: StepOutcome::Unchanged,
            rows_written: 0,
            rows_deleted: 0,
            rows_rejected: 0,
            version: report.version,
            finished: TimestampMicros(0),
            elapsed: report.elapsed,
        };
        let step = step.with_reason(&report.reason);
        let end = StepEnd { step: &step, recorded: None, checks: &[], metrics: &[] };
        Ok(self.state.record_step(&end).await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let steps: usize = std::env::args().nth(1).map_or(Ok(1_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let state = State::open(&folder.path().join("state.db")).await?;
    let run = RunId::new("overhead");
    let started = TimestampMicros(0);
    let holder = Holder::this_process("overhead", started);
    let request =
        LeaseRequest { assets: &[], holder: &holder, now: started, length: Duration::from_secs(3_600) };
    let lease = Some(state.take_lease(&request).await?);
    let (command, principal, version) = (String::new(), None, String::new());
    state.begin_run(&RunStart { run: run.clone(), command, principal, version, started, lease }).await?;
    let options = ExecuteOptions {
        run: run.clone(),
        concurrency: NonZeroUsize::MIN.saturating_add(1),
        retry: RetryPolicy::default(),
        seed: 0,
    };
    let executor = Arc::new(Empty { state, run });
    let plan = RunPlan { steps: (0..steps).map(step).collect(), ..RunPlan::default() };
    let begin = Instant::now();
    let events = EventBus::default().begin("test");
    let (report, broke) = execute(plan, executor, options, events, CancellationToken::new()).await;
    broke.map_or(Ok(()), Err)?;
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(report.steps.len(), steps, "every step ends");
    println!("{{\"seconds\": {seconds}, \"peak_bytes\": {}}}", peak_bytes());
    Ok(())
}

fn step(number: usize) -> PlannedStep {
    let asset = |number: usize| AssetId::new(&format!("chain.step_{number}"));
    let after = if number.is_multiple_of(CHAIN) { Vec::new() } else { vec![asset(number - 1)] };
    PlannedStep {
        asset: asset(number),
        reason: Reason::Forced,
        after,
        checks_after: Vec::new(),
        needs: Default::default(),
    }
}

/// The most memory that the process held, as Linux tells it; 0 elsewhere.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
