//! Time and memory of one process, and of several rounds.

use std::{fs, path::Path, process::Command};

use serde::Deserialize;

use crate::{Result, process};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Measure {
    pub(super) seconds: f64,
    /// The processor time of all threads of the process; 0 where only the clock was read.
    #[serde(default)]
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: u64,
}

impl Measure {
    /// `command` from start to end, its own children included, measured by `script`: a Python with `measure.py`, which
    /// leaves the figures in `result`.
    pub(super) fn of(mut script: Command, result: &Path, command: &Command) -> Result<Self> {
        script.arg(result).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        process::output(&mut script)?;
        Ok(serde_json::from_slice(&fs::read(result)?)?)
    }

    /// The median time and the highest memory.
    pub(super) fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let middle = rounds.get(rounds.len() / 2);
        Self {
            seconds: middle.map_or(f64::NAN, |round| round.seconds),
            cpu_seconds: middle.map_or(f64::NAN, |round| round.cpu_seconds),
            peak_bytes: rounds.iter().map(|round| round.peak_bytes).max().unwrap_or(0),
        }
    }
}
