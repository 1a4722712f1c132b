//! How far a step is, told a few times a second however often it is counted. The figures of a step only grow: what is counted
//! anew within each of its doings is added up.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use millstream_types::AssetId;

use super::{Event, Publisher, StepProgress};

/// The least time between two reports of the same doing, and before the first report of a step that names no doing.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Tells how far a step is. Of each doing that took its time the last figures are told too.
#[derive(Debug)]
pub(crate) struct StepMeter {
    asset: AssetId,
    events: Publisher,
    last: Mutex<LastReport>,
}

#[derive(Debug)]
struct LastReport {
    at: Instant,
    /// Whether figures were told at all, and not only the time is kept at which the step began.
    is_told: bool,
    /// The doing of the figures that were told last.
    doing: Option<String>,
    /// Newer figures that were not told, because others had been a moment before.
    held_back: Option<Figures>,
    /// The most rows and bytes of each doing so far.
    counted: BTreeMap<Option<String>, (u64, u64)>,
}

/// The figures of one doing of a step, which begin with 0. A total is that of the doing, and known of the last doing alone, since
/// then it is known of the step; [`StepProgress`] says what each means.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub doing: Option<String>,
    pub rows: u64,
    pub rows_total: Option<u64>,
    pub bytes: u64,
    pub bytes_total: Option<u64>,
}

impl StepMeter {
    pub(crate) fn new(asset: &AssetId, events: &Publisher) -> Self {
        let counted = BTreeMap::new();
        let last = LastReport { at: Instant::now(), is_told: false, doing: None, held_back: None, counted };
        Self { asset: asset.clone(), events: events.clone(), last: Mutex::new(last) }
    }

    /// Tells the figures with those of the doings before, unless others of the same doing were told a moment ago.
    pub(crate) fn show(&self, figures: Figures) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = last.of_step(figures);
        if last.doing == figures.doing && last.at.elapsed() < REPORT_EVERY {
            last.held_back = Some(figures);
            return;
        }
        let next = LastReport {
            at: Instant::now(),
            is_told: true,
            doing: figures.doing.clone(),
            held_back: None,
            counted: std::mem::take(&mut last.counted),
        };
        let before = std::mem::replace(&mut *last, next);
        drop(last);
        let of_before = before.held_back.filter(|held| before.is_told && held.doing != figures.doing);
        for figures in of_before.into_iter().chain([figures]) {
            tell(&self.events, &self.asset, figures);
        }
    }
}

impl LastReport {
    /// The figures of the step as a whole, once one of its doings has come to `figures`.
    fn of_step(&mut self, figures: Figures) -> Figures {
        let own = self.counted.entry(figures.doing.clone()).or_default();
        *own = (own.0.max(figures.rows), own.1.max(figures.bytes));
        let own = *own;
        let sum =
            |(rows, bytes), (more_rows, more_bytes): &(u64, u64)| (rows + more_rows, bytes + more_bytes);
        let (rows, bytes) = self.counted.values().fold((0, 0), sum);
        Figures {
            doing: figures.doing,
            rows,
            rows_total: figures.rows_total.map(|total| total + (rows - own.0)),
            bytes,
            bytes_total: figures.bytes_total.map(|total| total + (bytes - own.1)),
        }
    }
}

impl Drop for StepMeter {
    fn drop(&mut self) {
        let last = self.last.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(figures) = last.held_back.take().filter(|_| last.is_told) {
            tell(&self.events, &self.asset, figures);
        }
    }
}

fn tell(events: &Publisher, asset: &AssetId, figures: Figures) {
    let Figures { doing, rows, rows_total, bytes, bytes_total } = figures;
    let asset = asset.clone();
    events.publish(Event::StepProgress(StepProgress { asset, doing, rows, rows_total, bytes, bytes_total }));
}
