//! Which events each label sees: one run of its entity's events, or several where a cut-off hides what was not yet
//! known.

use std::{ops::Range, sync::Arc};

use super::{definition::Window, entity_group::EntityGroup};

/// Events from the first number up to the second, which is out.
pub(super) type Run = (u32, u32);

/// The runs of events in the window of each label, oldest first.
#[derive(Debug, Default)]
pub(super) struct Seen {
    runs: Vec<Run>,
    /// The ends of each label's runs; none while every label has one run.
    ends: Option<Vec<u32>>,
    /// The window of each label, with what a cut-off hides; empty while every label has one run.
    windows: Vec<Run>,
}

impl Seen {
    fn push(&mut self, run: Run) {
        self.runs.push(run);
        self.end(run);
    }

    fn end(&mut self, window: Run) {
        if let Some(ends) = &mut self.ends {
            ends.push(narrow(self.runs.len()));
            self.windows.push(window);
        }
    }

    /// Lets the labels from here on have any number of runs.
    fn allow_several(&mut self) {
        if self.ends.is_none() {
            self.ends = Some((1..=narrow(self.runs.len())).collect());
            self.windows.clone_from(&self.runs);
        }
    }

    /// The windows of some labels, with what a cut-off hides. Neither end moves back among the labels of one entity.
    pub(super) fn windows(&self, labels: Range<usize>) -> &[Run] {
        let windows = if self.ends.is_none() { &self.runs } else { &self.windows };
        windows.get(labels).unwrap_or(&[])
    }

    pub(super) fn of(&self, label: usize) -> &[Run] {
        let range = match &self.ends {
            None => label..label + 1,
            Some(ends) => {
                let end = |label: usize| ends.get(label).map_or(0, |end| *end as usize);
                label.checked_sub(1).map_or(0, end)..end(label)
            }
        };
        self.runs.get(range).unwrap_or(&[])
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &[Run]> {
        let labels = self.ends.as_ref().map_or(self.runs.len(), Vec::len);
        (0..labels).map(|label| self.of(label))
    }
}

/// The runs of all labels of a group.
pub(super) fn runs(group: &EntityGroup<'_>, window: Window) -> Arc<Seen> {
    let mut seen = Seen { runs: Vec::with_capacity(group.label_times.len()), ..Seen::default() };
    for entity in &group.entities {
        let times = group.times.get(entity.events.clone()).unwrap_or(&[]);
        let first = entity.events.start;
        let (mut low, mut high) = (0, 0);
        let labels = group.label_times.get(entity.labels.clone()).unwrap_or(&[]);
        for (label, time) in entity.labels.clone().zip(labels) {
            low = advance(times, low, window.start(*time));
            high = advance(times, high.max(low), window.end(*time));
            let window = (narrow(first + low), narrow(first + high));
            match group.hiding_cut(label, first + high) {
                None => seen.push(window),
                Some((cut, known)) => {
                    seen.allow_several();
                    let shift = |at: usize| narrow(first + at - entity.first_entry);
                    let [from, to] = [low, high].map(|at| entity.first_entry + at);
                    known.runs(from, to, cut, |run| seen.runs.push((shift(run.start), shift(run.end))));
                    seen.end(window);
                }
            }
        }
    }
    Arc::new(seen)
}

/// The first position from `from` on whose time is not before `time`; looks near `from` first.
fn advance(times: &[i64], from: usize, time: i64) -> usize {
    let (mut low, mut step) = (from, 1);
    while times.get(low + step - 1).is_some_and(|at| *at < time) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times.get(low..high).map_or(0, |near| near.partition_point(|at| *at < time))
}

pub(super) fn narrow(index: usize) -> u32 {
    // Rows are fewer than 2^32: whoever numbers them checks it.
    u32::try_from(index).unwrap_or(u32::MAX)
}
