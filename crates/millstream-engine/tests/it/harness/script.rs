//! The script of all scripted sources: their parts and their faults. A test writes it, the connector reads it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indexmap::IndexMap;
use millstream_connector::Bound;

use super::line::{Harm, Line};

/// The content of all places. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    places: BTreeMap<String, Place>,
    /// The line of the engine whose connectors are built next.
    line: Option<Arc<Line>>,
    /// Connections that were opened, as they show themselves.
    opened: Vec<String>,
}

/// One source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub parts: IndexMap<String, Text>,
    /// Parts that are not ready, with the reason.
    pub waiting: Vec<(String, String)>,
    /// Faults to come, each with the call that will fail.
    pub faults: Vec<(Call, Harm)>,
    /// Rows that are added to a part in the midst of a call: the call, the part and the rows.
    pub meanwhile: Vec<(Call, String, String)>,
    /// The bound on what one commit takes in.
    pub bound: Bound,
    /// Whether the place never says what it has.
    pub is_silent: bool,
    /// Whether rows of a log are gone once they were acknowledged.
    pub forgets: bool,
    /// Parts of which the position that was read up to is gone, until they are read from their beginnings.
    pub lost: Vec<String>,
    /// The position up to which the connector was told that each part is durable.
    pub acknowledged: BTreeMap<String, i64>,
}

/// The content of a part: a line of names, then a line for each row. A line with too few or too many values is malformed. A
/// name may declare its type, `size:float64`, or not be among those that the part describes itself with, `+late`.
///
/// A part whose first name is `?` is a log of what happened to rows: that value is `i` (insert), `u` (update), `u:7` (update
/// of the row whose first column was 7), `d` (delete), `t` (truncate), each with a `+` where its transaction goes on behind
/// it, or `-` for what concerns other rows. A log may grow while it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    pub header: String,
    pub rows: Vec<String>,
    /// The number of times that the part changed without a change of content.
    pub touched: u32,
    /// The number of rows after which the part cannot be read; with 0, the header cannot be read either.
    pub broken_at: Option<usize>,
}

/// The calls to a connector that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Discover,
    Describe,
    Read,
    Block,
    Finish,
    Acknowledge,
}

impl Text {
    /// Whether the part is a log, whose rows say what happened to rows.
    pub(super) fn is_log(&self) -> bool {
        self.header.starts_with("?,")
    }
}

impl Script {
    /// Makes a part, or replaces it.
    pub(crate) fn put(&self, place: &str, part: &str, text: &str) {
        let mut lines = text.trim_end().lines().map(|line| line.trim().to_owned());
        let header = lines.next().unwrap_or_default();
        let text = Text { header, rows: lines.collect(), ..Text::default() };
        self.change(place, |place| drop(place.parts.insert(part.to_owned(), text)));
    }

    /// Adds rows behind those of the part.
    pub(crate) fn append(&self, place: &str, part: &str, rows: &str) {
        let rows: Vec<_> = rows.trim_end().lines().map(|line| line.trim().to_owned()).collect();
        self.change(place, |place| place.parts.get_mut(part).unwrap().rows.extend(rows));
    }

    /// Gives the part another version, while its content stays.
    pub(crate) fn touch(&self, place: &str, part: &str) {
        self.change(place, |place| place.parts.get_mut(part).unwrap().touched += 1);
    }

    /// Makes the part one that cannot be read beyond its first `rows` rows.
    pub(crate) fn spoil(&self, place: &str, part: &str, rows: usize) {
        self.change(place, |place| place.parts.get_mut(part).unwrap().broken_at = Some(rows));
    }

    pub(crate) fn remove(&self, place: &str, part: &str) {
        self.change(place, |place| drop(place.parts.shift_remove(part).unwrap()));
    }

    /// Says that a part is not ready.
    pub(crate) fn hold(&self, place: &str, part: &str, reason: &str) {
        self.change(place, |place| place.waiting.push((part.to_owned(), reason.to_owned())));
    }

    /// Lets the next `times` calls fail.
    pub(crate) fn fail(&self, place: &str, call: Call, harm: Harm, times: usize) {
        self.change(place, |place| place.faults.extend(std::iter::repeat_n((call, harm), times)));
    }

    /// Takes back all faults to come.
    pub(crate) fn calm(&self, place: &str) {
        self.change(place, |place| place.faults.clear());
    }

    /// From here on, the place does not say what it has, or says it again.
    pub(crate) fn silence(&self, place: &str, is_silent: bool) {
        self.change(place, |place| place.is_silent = is_silent);
    }

    /// Adds rows to the part in the midst of the next such call.
    pub(crate) fn meanwhile(&self, place: &str, part: &str, call: Call, rows: &str) {
        self.change(place, |place| place.meanwhile.push((call, part.to_owned(), rows.to_owned())));
    }

    pub(super) fn opened(&self, connection: &dyn std::fmt::Debug) {
        self.inner().opened.push(format!("{connection:?}"));
    }

    /// The connections that were opened so far.
    pub(crate) fn connections(&self) -> Vec<String> {
        self.inner().opened.clone()
    }

    /// Sets how much of the place one commit takes in.
    pub(crate) fn bound(&self, place: &str, bound: Bound) {
        self.change(place, |place| place.bound = bound);
    }

    /// The position up to which the part was read is gone from here on.
    pub(crate) fn lose_position(&self, place: &str, part: &str) {
        self.change(place, |place| place.lost.push(part.to_owned()));
    }

    /// The part is read from its beginning, which makes up for a position that is gone.
    pub(super) fn begin_anew(&self, place: &str, part: &str) {
        self.change(place, |place| place.lost.retain(|lost| lost != part));
    }

    /// From here on, rows of the place's logs are gone once they are acknowledged.
    pub(crate) fn forget(&self, place: &str) {
        self.change(place, |place| place.forgets = true);
    }

    /// The position up to which the connector was told that each part is durable.
    pub(crate) fn acknowledged(&self, place: &str) -> BTreeMap<String, i64> {
        self.place(place).map(|place| place.acknowledged).unwrap_or_default()
    }

    pub(super) fn acknowledge(&self, place: &str, part: &str, position: i64) {
        self.change(place, |place| {
            let known = place.acknowledged.entry(part.to_owned()).or_insert(position);
            *known = position.max(*known);
        });
    }

    pub(super) fn connect(&self, line: &Arc<Line>) {
        self.inner().line = Some(line.clone());
    }

    pub(super) fn line(&self) -> Arc<Line> {
        self.inner().line.clone().unwrap_or_else(Line::quiet)
    }

    pub(super) fn place(&self, place: &str) -> Option<Place> {
        self.inner().places.get(place).cloned()
    }

    /// Takes out the next fault of such a call.
    pub(super) fn fault(&self, place: &str, call: Call) -> Option<Harm> {
        let mut inner = self.inner();
        let faults = &mut inner.places.get_mut(place)?.faults;
        let at = faults.iter().position(|(of, _)| *of == call)?;
        Some(faults.remove(at).1)
    }

    /// Adds the rows that come in the midst of such a call, once.
    pub(super) fn happen(&self, place: &str, call: Call) {
        let next = || {
            let mut inner = self.inner();
            let meanwhile = &mut inner.places.get_mut(place)?.meanwhile;
            let at = meanwhile.iter().position(|(of, ..)| *of == call)?;
            Some(meanwhile.remove(at))
        };
        if let Some((_, part, rows)) = next() {
            self.append(place, &part, &rows);
        }
    }

    fn change(&self, place: &str, change: impl FnOnce(&mut Place)) {
        change(self.inner().places.entry(place.to_owned()).or_default());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
