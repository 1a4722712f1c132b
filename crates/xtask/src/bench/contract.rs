//! Evaluating a contract alone, beside Pandera and Great Expectations on the same data and checks.
//!
//! Ours is the example `contract_bench` of `millstream-quality`: it reads the Parquet file named by its argument, then
//! prints `{"seconds": …, "peak_bytes": …}` for one evaluation in memory.

use std::process::Command;

use super::{Context, Row};
use crate::Result;

const ROWS: u64 = 1_000_000;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let rows = context.rows(ROWS);
    let data = context.data(&format!("contract-{rows}.parquet"), "contract_data.py", &[&rows.to_string()])?;
    let example = context.example("contract_bench")?;
    let ours = context.measure_itself(
        || Ok(()),
        || {
            let mut command = Command::new(&example);
            command.arg(&data);
            command
        },
    )?;
    let peer = |tool: &str| {
        context.measure_itself(
            || Ok(()),
            || {
                let mut command = context.script("contract_peer.py");
                command.arg(tool).arg(&data);
                command
            },
        )
    };
    let what = format!("10 checks on {rows} rows of 7 columns");
    Ok(vec![
        Row::against(what.clone(), ours, "Pandera on polars", peer("pandera")?, 0.25),
        Row::against(what, ours, "Great Expectations", peer("great_expectations")?, 1.0 / 15.0),
    ])
}
