//! What the engine adds to a step.
//!
//! Ours is the example `step_overhead` of `millstream-engine`: it runs a plan of as many empty steps as its argument
//! says, recorded as real ones are, and prints `{"seconds": …, "peak_bytes": …}` for all of them.

use std::process::Command;

use super::{Context, Measure, Row};
use crate::Result;

const STEPS: u32 = 10_000;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let example = context.example("step_overhead")?;
    let all = context.measure_itself(
        || Ok(()),
        || {
            let mut command = Command::new(&example);
            command.arg(STEPS.to_string());
            command
        },
    )?;
    let each = Measure { seconds: all.seconds / f64::from(STEPS), ..all };
    Ok(vec![Row::seconds(format!("overhead of a step, {STEPS} empty ones"), each, 0.001)])
}
