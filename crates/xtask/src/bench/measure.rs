//! Time and memory of one process, and of several rounds.

use serde::Deserialize;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Measure {
    pub(super) seconds: f64,
    /// Of all its threads; 0 where only the clock was read.
    #[serde(default)]
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: u64,
}

impl Measure {
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
