//! What a build is doing, for those who wait.

/// Where a build is. Rows count from 0 in each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    pub phase: Phase,
    /// The view that the phase is about.
    pub view: Option<&'a str>,
    pub rows: u64,
    pub total: Option<u64>,
}

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Label rows are read.
    Labels,
    /// Events of a view are read.
    Events,
    /// Labels are joined with a view.
    Join,
    /// Encodings are fitted; rows are columns here.
    Fit,
    /// Rows of the dataset are written.
    Write,
}

/// Rows between two reports.
const REPORT_ROWS: u64 = 65_536;

/// Counts rows and reports now and then; the end of a phase is reported when its counter is dropped.
pub(crate) struct Counter<'a> {
    report: &'a dyn Fn(Progress<'_>),
    progress: Progress<'a>,
    reported: u64,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(
        report: &'a dyn Fn(Progress<'_>),
        phase: Phase,
        view: Option<&'a str>,
        total: Option<u64>,
    ) -> Self {
        let progress = Progress { phase, view, rows: 0, total };
        report(progress);
        Self { report, progress, reported: 0 }
    }

    pub(crate) fn add(&mut self, rows: usize) {
        self.progress.rows += rows as u64;
        if self.progress.rows - self.reported >= REPORT_ROWS {
            self.reported = self.progress.rows;
            (self.report)(self.progress);
        }
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        if self.progress.rows != self.reported {
            (self.report)(self.progress);
        }
    }
}
