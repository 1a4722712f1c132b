//! How far a step is, told a few times a second however often it is counted.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use millstream_types::AssetId;

use super::{Event, Publisher, StepProgress};

/// The least time between two reports of the same doing, and before the first report of a step that names no doing.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Tells how far a step is. The last figures are told when it is dropped, if they were held back.
#[derive(Debug)]
pub(crate) struct StepMeter {
    asset: AssetId,
    events: Publisher,
    last: Mutex<LastReport>,
}

#[derive(Debug)]
struct LastReport {
    at: Instant,
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
        let last = LastReport { at: Instant::now(), doing: None, held_back: None };
        Self { asset: asset.clone(), events: events.clone(), last: Mutex::new(last) }
    }

    /// Tells the figures, unless others of the same doing were told a moment ago.
    pub(crate) fn show(&self, figures: Figures) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.doing == figures.doing && last.at.elapsed() < REPORT_EVERY {
            last.held_back = Some(figures);
            return;
        }
        *last = LastReport { at: Instant::now(), doing: figures.doing.clone(), held_back: None };
        drop(last);
        tell(&self.events, &self.asset, figures);
    }
}

impl Drop for StepMeter {
    fn drop(&mut self) {
        let last = self.last.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(figures) = last.held_back.take() {
            tell(&self.events, &self.asset, figures);
        }
    }
}

fn tell(events: &Publisher, asset: &AssetId, figures: Figures) {
    let Figures { doing, rows, rows_total, bytes, bytes_total } = figures;
    let asset = asset.clone();
    events.publish(Event::StepProgress(StepProgress { asset, doing, rows, rows_total, bytes, bytes_total }));
}
