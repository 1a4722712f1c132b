//! How far a step is, told a few times a second however often it is counted.

use std::{
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
}

/// The figures of a step; [`StepProgress`] says what each means.
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
        let last = LastReport { at: Instant::now(), is_told: false, doing: None, held_back: None };
        Self { asset: asset.clone(), events: events.clone(), last: Mutex::new(last) }
    }

    /// Tells the figures, unless others of the same doing were told a moment ago.
    pub(crate) fn show(&self, figures: Figures) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.doing == figures.doing && last.at.elapsed() < REPORT_EVERY {
            last.held_back = Some(figures);
            return;
        }
        let next =
            LastReport { at: Instant::now(), is_told: true, doing: figures.doing.clone(), held_back: None };
        let before = std::mem::replace(&mut *last, next);
        drop(last);
        let of_before = before.held_back.filter(|held| before.is_told && held.doing != figures.doing);
        for figures in of_before.into_iter().chain([figures]) {
            tell(&self.events, &self.asset, figures);
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
