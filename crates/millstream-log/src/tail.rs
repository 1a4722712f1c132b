//! Reading several partitions on and on, and waiting where nothing is new.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use crate::{EventLog, Place, Position, Read, ReadBound, error::Result};

/// Reads partitions of a log in turn, each in its order, and waits without asking again and again where there is nothing.
pub struct Tail {
    log: Arc<dyn EventLog>,
    positions: Vec<Position>,
    /// The place in `positions` that has the next turn, so that no partition is passed over for another.
    turn: usize,
    bound: ReadBound,
}

impl Tail {
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, positions: Vec<Position>, bound: ReadBound) -> Self {
        Self { log, positions, turn: 0, bound }
    }

    /// The positions behind what was read so far, one for each partition.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Goes on from another position of a partition, such as behind a damage.
    pub fn seek(&mut self, position: &Position) {
        for present in self.positions.iter_mut().filter(|present| present.place == position.place) {
            present.offset = position.offset;
        }
    }

    /// The next records, with the partition that they are of. Dropping the future loses nothing.
    ///
    /// After an error of one partition the next call begins with another one.
    pub fn read(&mut self) -> BoxFuture<'_, Result<(Place, Read)>> {
        Box::pin(async move {
            loop {
                for _ in 0..self.positions.len() {
                    let turn = self.turn % self.positions.len();
                    self.turn = turn + 1;
                    let Some(position) = self.positions.get_mut(turn) else { continue };
                    let read = self.log.read(position, self.bound).await?;
                    if !read.batches.is_empty() {
                        position.offset = read.next;
                        return Ok((position.place.clone(), read));
                    }
                }
                self.log.wait(&self.positions).await?;
            }
        })
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("positions", &self.positions).finish_non_exhaustive()
    }
}
