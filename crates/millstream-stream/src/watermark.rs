//! How far a source has come in event time.
//!
//! A watermark `w` says that rows with an event time of `w` or later may follow, and that earlier ones are behind. Each partition has
//! the newest event time that it has seen less the disorder; the source has the least of its partitions. A partition that was idle holds up
//! nobody; when all are idle, the source goes on to the furthest of them, which is where it would have come had they fallen idle
//! one by one. A watermark never goes back.

use std::ops::Range;

use crate::time::{WATERMARK_END, WATERMARK_MIN, floor};

#[derive(Debug, Clone)]
pub(crate) struct Watermarks {
    disorder: i64,
    grain: i64,
    partitions: Vec<Partition>,
    watermark: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The newest event time.
    pub(crate) newest: Option<i64>,
    /// The instant at which rows came last, or at which the partition was first looked at.
    pub(crate) active: Option<i64>,
    pub(crate) idle: bool,
    pub(crate) ended: bool,
}

/// Consecutive rows, none of which is behind a watermark that earlier rows of the same piece bring about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) rows: Range<usize>,
    /// The source's watermark after the rows.
    pub(crate) watermark: i64,
}

impl Watermarks {
    pub(crate) fn new(partitions: u32, disorder: i64, grain: i64) -> Self {
        let new = Partition { newest: None, active: None, idle: false, ended: false };
        Self { disorder, grain, partitions: vec![new; partitions as usize], watermark: WATERMARK_MIN }
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(crate) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    pub(crate) fn restore(&mut self, partitions: Vec<Partition>, watermark: i64) {
        self.partitions = partitions;
        self.watermark = watermark;
    }

    /// Takes in the event times of rows of a partition, and cuts them where what follows depends on it: at rows that are behind a watermark
    /// which rows before them brought about. So the result is that of rows that came one by one, however they were cut into batches.
    pub(crate) fn observe(&mut self, partition: usize, times: &[i64], known: i64) -> Vec<Piece> {
        let others = self.least_of_others(partition);
        let (disorder, grain) = (self.disorder, self.grain);
        let Some(state) = self.partitions.get_mut(partition) else { return Vec::new() };
        state.active = Some(state.active.map_or(known, |active| active.max(known)));
        state.idle = false;
        let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else { return Vec::new() };
        let own = |newest: i64| floor(newest - disorder, grain, 0);
        let newest = state.newest.map_or(*most, |newest| newest.max(*most));
        let before = state.newest.replace(newest);
        let last = self.watermark.max(others.min(own(newest)));
        let mut pieces = Vec::new();
        // Nothing is behind in most batches.
        if *least < last && last > self.watermark {
            let mut running = self.watermark;
            let mut start = 0;
            // The event time from which the watermark of the partition is another one.
            let mut next = before.map_or(i64::MIN, |newest| own(newest) + grain + disorder);
            for (row, time) in times.iter().enumerate() {
                if *time < running && running > self.watermark {
                    pieces.push(Piece { rows: start..row, watermark: running });
                    self.watermark = running;
                    start = row;
                }
                if *time >= next {
                    let reached = own(*time);
                    next = reached + grain + disorder;
                    running = running.max(others.min(reached));
                }
            }
            pieces.push(Piece { rows: start..times.len(), watermark: last });
        } else {
            pieces.push(Piece { rows: 0..times.len(), watermark: last });
        }
        self.watermark = last;
        pieces
    }

    /// Tells that a partition gives no more rows.
    pub(crate) fn end(&mut self, partition: usize) {
        if let Some(state) = self.partitions.get_mut(partition) {
            state.ended = true;
            state.idle = false;
        }
        self.combine();
    }

    /// Tells the present instant: partitions that gave no rows for `idle_after` hold up nobody until they do.
    pub(crate) fn idle(&mut self, now: i64, idle_after: i64) {
        for partition in &mut self.partitions {
            let active = *partition.active.get_or_insert(now);
            if !partition.ended && now.saturating_sub(active) >= idle_after {
                partition.idle = true;
            }
        }
        self.combine();
    }

    fn own(&self, partition: &Partition) -> i64 {
        match partition.newest {
            _ if partition.ended => WATERMARK_END,
            None => WATERMARK_MIN,
            Some(newest) => floor(newest - self.disorder, self.grain, 0),
        }
    }

    fn combine(&mut self) {
        let awake = self.partitions.iter().filter(|partition| !partition.idle && !partition.ended);
        let idle = self.partitions.iter().filter(|partition| partition.idle);
        let reached = match (
            awake.map(|partition| self.own(partition)).min(),
            idle.map(|partition| self.own(partition)).max(),
        ) {
            (Some(least), _) => least,
            (None, Some(furthest)) => furthest,
            (None, None) => WATERMARK_END,
        };
        self.watermark = self.watermark.max(reached);
    }

    fn least_of_others(&self, partition: usize) -> i64 {
        let others =
            self.partitions.iter().enumerate().filter(|(other, state)| *other != partition && !state.idle);
        others.map(|(_, state)| self.own(state)).min().unwrap_or(WATERMARK_END)
    }
}
