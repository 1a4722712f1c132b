//! The states of one key as periods that follow each other. Pure: rows are numbers, equality is asked.

use std::collections::BTreeMap;

/// A period that the table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) row: usize,
    pub(super) from: i64,
    /// When the state ended; `None` while it is the current one.
    pub(super) to: Option<i64>,
}

/// A state that the query gives now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) row: usize,
    /// When the state began. It is `None` when the query has no time; then the key has one state, be it in several rows.
    pub(super) at: Option<i64>,
}

/// Two different states of the key begin at the same time, or both without a time. `row` is the row of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) row: usize,
}

/// The key's periods once a run at `now` has seen `states`. `recorded` is ordered by `from`.
///
/// - A state takes its place by its time, late ones too. Where another state is recorded for that time, the recorded one
///   stays, unless the two agree in all columns that it has: then it gains the other columns.
/// - Equal states that follow each other are one period.
/// - A recorded state that the query no longer gives stays: it was the state then.
/// - The open period holds the newest of the states. Where a later turn is recorded (the key was closed after that
///   state began, or a newer state was retracted), the newest state begins again now.
/// - A key without states ends now.
/// - A turn that happens now comes behind all that are recorded, those in the future too, so that none of them is lost.
///
/// `equal` compares two rows; `agrees` compares a recorded row with a given one in the columns that were recorded.
///
/// Applying the same states again changes nothing.
pub(super) fn merge(
    recorded: &[Period],
    states: &[State],
    now: i64,
    equal: impl Fn(usize, usize) -> bool,
    agrees: impl Fn(usize, usize) -> bool,
) -> Result<Vec<Period>, Conflict> {
    // The turns of the key: for each instant the row of the state that holds from then on, or `None` where the key did
    // not exist.
    let mut turns: BTreeMap<i64, Option<usize>> = BTreeMap::new();
    for (at, period) in recorded.iter().enumerate() {
        turns.insert(period.from, Some(period.row));
        if let Some(to) = period.to
            && recorded.get(at + 1).is_none_or(|next| next.from > to)
        {
            turns.insert(to, None);
        }
    }
    let mut latest: Option<(i64, usize)> = None;
    let mut given: BTreeMap<i64, usize> = BTreeMap::new();
    for state in states {
        match state.at {
            Some(at) => {
                if let Some(&other) = given.get(&at) {
                    if !equal(other, state.row) {
                        return Err(Conflict { row: state.row });
                    }
                    continue;
                }
                given.insert(at, state.row);
                if latest.is_none_or(|(last, _)| at > last) {
                    latest = Some((at, state.row));
                }
            }
            None => match latest {
                Some((_, other)) if equal(other, state.row) => {}
                Some(_) => return Err(Conflict { row: state.row }),
                None => latest = Some((now, state.row)),
            },
        }
    }
    for (&at, &row) in &given {
        if takes_place(&turns, (at, row), &equal, &agrees) {
            turns.insert(at, Some(row));
        }
    }
    let last = turns.last_key_value().map(|(&at, &row)| (at, row));
    // A state that begins in the future is not taken away by what happens now.
    let not_before = last.map_or(now, |(at, row)| now.max(at.saturating_add(i64::from(row.is_some()))));
    let open = last.and_then(|(_, row)| row);
    match (latest, open) {
        (None, Some(_)) => {
            turns.insert(not_before, None);
        }
        (Some((_, row)), None) => {
            turns.insert(not_before, Some(row));
        }
        (Some((_, row)), Some(there)) if !equal(there, row) => {
            turns.insert(not_before, Some(row));
        }
        _ => {}
    }
    Ok(periods(&turns, equal))
}

/// Whether a given state takes the place of what stands at its instant.
fn takes_place(
    turns: &BTreeMap<i64, Option<usize>>,
    (at, row): (i64, usize),
    equal: impl Fn(usize, usize) -> bool,
    agrees: impl Fn(usize, usize) -> bool,
) -> bool {
    let Some(there) = turns.get(&at).copied().flatten() else { return true };
    // A recorded state that only goes on from the one before it does not begin here.
    let before = turns.range(..at).next_back().and_then(|(_, row)| *row);
    let begins = before.is_none_or(|before| !equal(before, there));
    !equal(there, row) && (!begins || agrees(there, row))
}

/// Whether two of a key's recorded periods, ordered by `from`, hold at the same time. Periods that [`merge`] made
/// never do; those of several keys that a new definition takes for one may.
pub(super) fn overlap(recorded: &[Period]) -> bool {
    recorded.iter().zip(recorded.iter().skip(1)).any(|(one, next)| one.to.is_none_or(|to| to > next.from))
}

fn periods(turns: &BTreeMap<i64, Option<usize>>, equal: impl Fn(usize, usize) -> bool) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    for (&from, &row) in turns {
        let open = periods.last_mut().filter(|period| period.to.is_none());
        match (open, row) {
            (Some(open), Some(row)) if equal(open.row, row) => {}
            (Some(open), None) => open.to = Some(from),
            (Some(open), Some(row)) => {
                open.to = Some(from);
                periods.push(Period { row, from, to: None });
            }
            (None, Some(row)) => periods.push(Period { row, from, to: None }),
            (None, None) => {}
        }
    }
    periods
}
