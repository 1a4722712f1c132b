//! The sum over all test binaries.

use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Summary {
    /// Counts a line `test result: ok. 20 passed; 0 failed; 1 ignored; …`, whichever colours it has; other lines
    /// count nothing.
    pub(crate) fn add(&mut self, line: &str) {
        let Some((_, figures)) = line.split_once("test result: ") else { return };
        let Some((_, figures)) = figures.split_once(". ") else { return };
        for figure in figures.split(';') {
            match figure.trim().split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                Some((count, "ignored")) => self.skipped += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// A test that ran only to say that it cannot.
    pub(crate) fn skip_passed(&mut self) {
        if self.passed > 0 {
            self.passed -= 1;
            self.skipped += 1;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn every_binary_counts() {
        let mut summary = Summary::default();
        for line in [
            "running 31 tests",
            "test plan::passes ... ok",
            "test result: ok. 31 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.14s",
            "test result: \u{1b}[31mFAILED\u{1b}[0m. 20 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out",
        ] {
            summary.add(line);
        }
        summary.skip_passed();
        assert_eq!(summary.to_string(), "50 passed, 2 failed, 2 skipped");
    }
}
