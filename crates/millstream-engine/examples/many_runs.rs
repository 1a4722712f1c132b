//! A state store that is old: `many_runs FILE N` records N runs of two steps each in the state file, as runs over the same two assets
//! leave them. `cargo xtask bench noop` calls it.

use std::{error::Error, path::Path, time::Duration};

use millstream_state::{RunEnd, RunOutcome, RunStart, State, StepEnd, StepOutcome, StepRecord};
use millstream_types::{AssetId, AssetVersion, RunId, TimestampMicros};

const USAGE: &str = "many_runs FILE N";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or(USAGE)?;
    let runs: i64 = arguments.next().ok_or(USAGE)?.parse()?;
    let state = State::open(Path::new(&file)).await?;
    let assets = [AssetId::new("bronze.s0"), AssetId::new("silver.t0")];
    for number in 0..runs {
        let run = RunId::new(&format!("00000000-0000-7000-8000-{number:012}"));
        let (command, version) = ("run".to_owned(), "0".to_owned());
        let started = TimestampMicros(number * 1_000_000);
        let start = RunStart {
            run: run.clone(),
            command,
            version,
            asked: None,
            started,
            lease: None,
            principal: None,
        };
        state.begin_run(&start).await?;
        for asset in &assets {
            state
                .record_step(&StepEnd {
                    step: &step(&run, asset, started),
                    recorded: None,
                    checks: &[],
                    metrics: &[],
                    messages: &[],
                })
                .await?;
        }
        let (outcome, publishes) = (RunOutcome::Succeeded, Some(assets.as_slice()));
        let end = RunEnd { run: &run, finished: started, outcome, publishes, messages: &[] };
        state.finish_run(&end).await?;
    }
    Ok(())
}

fn step(run: &RunId, asset: &AssetId, finished: TimestampMicros) -> StepRecord {
    StepRecord {
        run: run.clone(),
        asset: asset.clone(),
        reason: "new_input".to_owned(),
        reason_text: "new input: a file".to_owned(),
        outcome: StepOutcome::Unchanged,
        rows_written: 0,
        rows_deleted: 0,
        rows_rejected: 0,
        version: Some(AssetVersion::numbered(0)),
        finished,
        elapsed: Duration::from_millis(1),
        figures: None,
    }
}
