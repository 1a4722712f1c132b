//! The figures as a table for people and as JSON for a note.

use serde_json::{Value, json};

use super::Measure;

/// One figure with what it is judged by.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) ours: f64,
    /// Peak memory of our process, where it was measured.
    pub(super) peak_bytes: Option<u64>,
    /// Name and figure of what it is compared with.
    pub(super) other: Option<(String, f64)>,
    pub(super) target: Target,
}

/// The most that the figure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    Seconds(f64),
    /// Of the other's figure.
    Ratio(f64),
    Bytes(f64),
}

impl Row {
    pub(super) fn seconds(what: impl Into<String>, ours: Measure, max: f64) -> Self {
        let target = Target::Seconds(max);
        Self { what: what.into(), ours: ours.seconds, peak_bytes: Some(ours.peak_bytes), other: None, target }
    }

    pub(super) fn against(
        what: impl Into<String>,
        ours: Measure,
        name: &str,
        other: Measure,
        ratio_max: f64,
    ) -> Self {
        Self {
            what: what.into(),
            ours: ours.seconds,
            peak_bytes: Some(ours.peak_bytes),
            other: Some((name.into(), other.seconds)),
            target: Target::Ratio(ratio_max),
        }
    }

    pub(super) fn bytes(what: impl Into<String>, ours: Measure, max: f64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let bytes = ours.peak_bytes as f64;
        Self { what: what.into(), ours: bytes, peak_bytes: None, other: None, target: Target::Bytes(max) }
    }

    fn ratio(&self) -> Option<f64> {
        self.other.as_ref().map(|(_, other)| self.ours / other)
    }

    fn is_met(&self) -> bool {
        match self.target {
            Target::Seconds(max) | Target::Bytes(max) => self.ours <= max,
            Target::Ratio(max) => self.ratio().is_some_and(|ratio| ratio <= max),
        }
    }

    fn cells(&self) -> [String; 7] {
        let (ours, target) = match self.target {
            Target::Seconds(max) => (seconds(self.ours), format!("<= {}", seconds(max))),
            Target::Ratio(max) => (seconds(self.ours), format!("<= {max:.2}x")),
            Target::Bytes(max) => (mebibytes(self.ours), format!("<= {}", mebibytes(max))),
        };
        let other = self.other.as_ref().map(|(name, figure)| format!("{name} {}", seconds(*figure)));
        #[allow(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let memory = self.peak_bytes.map(|bytes| mebibytes(bytes as f64));
        [
            self.what.clone(),
            ours,
            other.unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}x")).unwrap_or_default(),
            target,
            memory.unwrap_or_default(),
            if self.is_met() { "met".into() } else { "MISSED".into() },
        ]
    }
}

const TITLES: [&str; 7] = ["what", "ours", "compared with", "ratio", "target", "memory", ""];

pub(super) fn print(rows: &[Row]) {
    let mut lines = vec![TITLES.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let widths: Vec<usize> = (0..TITLES.len())
        .map(|cell| lines.iter().map(|line| line[cell].chars().count()).max().unwrap_or(0))
        .collect();
    for line in lines {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}

pub(super) fn figures(rows: &[Row]) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "what": row.what,
                "ours": row.ours,
                "peak_bytes": row.peak_bytes,
                "other": row.other,
                "ratio": row.ratio(),
                "met": row.is_met(),
            })
        })
        .collect()
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.3} ms", seconds * 1_000.0) } else { format!("{seconds:.2} s") }
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::{Measure, Row};

    fn measure(seconds: f64) -> Measure {
        Measure { seconds, peak_bytes: 3 << 20 }
    }

    #[test]
    fn a_figure_is_judged_by_its_target() {
        let row = Row::against("land", measure(1.25), "DuckDB", measure(1.0), 1.25);
        assert_eq!(row.cells(), ["land", "1.25 s", "DuckDB 1.00 s", "1.25x", "<= 1.25x", "3 MiB", "met"]);
        let row = Row::seconds("check", measure(0.51), 0.5);
        assert_eq!(row.cells(), ["check", "510.000 ms", "", "", "<= 500.000 ms", "3 MiB", "MISSED"]);
        let row = Row::bytes("peak", measure(0.51), f64::from(1 << 30));
        assert_eq!(row.cells(), ["peak", "3 MiB", "", "", "<= 1024 MiB", "", "met"]);
    }

    #[test]
    fn the_median_is_a_round_and_memory_is_the_highest() {
        let rounds =
            [(3.0, 1), (1.0, 9), (2.0, 4)].map(|(seconds, peak_bytes)| Measure { seconds, peak_bytes });
        assert_eq!(Measure::median(rounds.to_vec()), Measure { seconds: 2.0, peak_bytes: 9 });
    }
}
