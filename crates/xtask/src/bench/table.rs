//! The figures as a table for people and as JSON for a note.

use serde_json::{Value, json};

use super::Measure;

/// One figure with what it is judged by.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) ours: f64,
    /// The peak memory of our process, where it was measured.
    pub(super) peak_bytes: Option<u64>,
    /// The name and figure of what ours is compared with.
    pub(super) other: Option<(String, f64)>,
    pub(super) target: Target,
}

/// What the figure counts, and the most that it may be, or the least for a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    Seconds(f64),
    /// Seconds, at most this part of the other's.
    Ratio(f64),
    Bytes(f64),
    /// Bytes, at most this part of the other's.
    BytesRatio(f64),
    /// Bytes for one of many things.
    BytesEach(f64),
    PerSecond(f64),
    /// A rate, at least this many times the other's.
    PerSecondRatio(f64),
    /// A count of anything.
    Count(f64),
    /// A part of a whole.
    Share(f64),
    /// Seconds without a target, for the record.
    Recorded,
    /// A rate without a target.
    RecordedRate,
    /// The size of a file, without a target.
    RecordedBytes,
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

    /// A row with our figure alone.
    pub(super) fn figure(what: impl Into<String>, ours: f64, target: Target) -> Self {
        Self { what: what.into(), ours, peak_bytes: None, other: None, target }
    }

    /// Puts the same figure of something else beside ours.
    pub(super) fn beside(mut self, name: impl Into<String>, other: f64) -> Self {
        self.other = Some((name.into(), other));
        self
    }

    /// Peak memory as a part of another's.
    pub(super) fn memory(
        what: impl Into<String>,
        ours: Measure,
        name: &str,
        other: Measure,
        ratio_max: f64,
    ) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let (ours, other) = (ours.peak_bytes as f64, other.peak_bytes as f64);
        Self::figure(what, ours, Target::BytesRatio(ratio_max)).beside(name, other)
    }

    fn ratio(&self) -> Option<f64> {
        self.other.as_ref().map(|(_, other)| self.ours / other)
    }

    /// Whether the figure meets its target; `None` where there is no target.
    fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::Seconds(max)
            | Target::Bytes(max)
            | Target::BytesEach(max)
            | Target::Count(max)
            | Target::Share(max) => Some(self.ours <= max),
            Target::Ratio(max) | Target::BytesRatio(max) => {
                Some(self.ratio().is_some_and(|ratio| ratio <= max))
            }
            Target::PerSecond(min) => Some(self.ours >= min),
            Target::PerSecondRatio(min) => Some(self.ratio().is_some_and(|ratio| ratio >= min)),
            Target::Recorded | Target::RecordedRate | Target::RecordedBytes => None,
        }
    }

    fn shown(&self, figure: f64) -> String {
        match self.target {
            Target::Seconds(_) | Target::Ratio(_) | Target::Recorded => seconds(figure),
            Target::Bytes(_) | Target::BytesRatio(_) => mebibytes(figure),
            Target::BytesEach(_) => format!("{figure:.1} B"),
            Target::PerSecond(_) | Target::PerSecondRatio(_) | Target::RecordedRate => {
                format!("{figure:.0}/s")
            }
            Target::Count(_) => format!("{figure:.0}"),
            Target::Share(_) => format!("{:.2} %", figure * 100.0),
            Target::RecordedBytes => format!("{figure:.0} B ({:.1} MB)", figure / 1_000_000.0),
        }
    }

    fn cells(&self) -> [String; 7] {
        let target = match self.target {
            Target::Ratio(max) | Target::BytesRatio(max) => format!("<= {max:.2}x"),
            Target::PerSecondRatio(min) => format!(">= {min:.2}x"),
            Target::Seconds(max)
            | Target::Bytes(max)
            | Target::BytesEach(max)
            | Target::Count(max)
            | Target::Share(max) => format!("<= {}", self.shown(max)),
            Target::PerSecond(min) => format!(">= {}", self.shown(min)),
            Target::Recorded | Target::RecordedRate | Target::RecordedBytes => String::new(),
        };
        let other = self.other.as_ref().map(|(name, figure)| format!("{name} {}", self.shown(*figure)));
        #[allow(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let memory = self.peak_bytes.map(|bytes| mebibytes(bytes as f64));
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.what.clone(),
            self.shown(self.ours),
            other.unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}x")).unwrap_or_default(),
            target,
            memory.unwrap_or_default(),
            verdict.into(),
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
    use super::{Measure, Row, Target};

    fn measure(seconds: f64) -> Measure {
        Measure { seconds, cpu_seconds: 0.0, peak_bytes: 3 << 20 }
    }

    #[test]
    fn a_figure_is_judged_by_its_target() {
        let row = Row::against("land", measure(1.25), "DuckDB", measure(1.0), 1.25);
        assert_eq!(row.cells(), ["land", "1.25 s", "DuckDB 1.00 s", "1.25x", "<= 1.25x", "3 MiB", "met"]);
        let row = Row::seconds("check", measure(0.51), 0.5);
        assert_eq!(row.cells(), ["check", "510.000 ms", "", "", "<= 500.000 ms", "3 MiB", "MISSED"]);
        let row = Row::bytes("peak", measure(0.51), f64::from(1 << 30));
        assert_eq!(row.cells(), ["peak", "3 MiB", "", "", "<= 1024 MiB", "", "met"]);
        let row = Row::figure("push", 900.0, Target::PerSecondRatio(5.0)).beside("one by one", 300.0);
        assert_eq!(row.cells(), ["push", "900/s", "one by one 300/s", "3.00x", ">= 5.00x", "", "MISSED"]);
        let row = Row::figure("value", 5.75, Target::BytesEach(16.0));
        assert_eq!(row.cells(), ["value", "5.8 B", "", "", "<= 16.0 B", "", "met"]);
        let row = Row::figure("packages", 301.0, Target::Count(300.0));
        assert_eq!(row.cells(), ["packages", "301", "", "", "<= 300", "", "MISSED"]);
        let row = Row::figure("binary", 98_123_456.0, Target::RecordedBytes);
        assert_eq!(row.cells(), ["binary", "98123456 B (98.1 MB)", "", "", "", "", ""]);
    }

    #[test]
    fn the_median_is_a_round_and_memory_is_the_highest() {
        let rounds = [(3.0, 1), (1.0, 9), (2.0, 4)]
            .map(|(seconds, peak_bytes)| Measure { peak_bytes, ..measure(seconds) });
        assert_eq!(Measure::median(rounds.to_vec()), Measure { peak_bytes: 9, ..measure(2.0) });
    }
}
