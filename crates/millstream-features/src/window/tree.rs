//! Any aggregation over any ranges of rows: states of aligned blocks are made when a range first needs them and merged
//! from then on, so that n rows and m ranges cost O((n + m) log n), and ranges that share nothing cost no more than a
//! plain loop. Ranges that only move forward are left to `slide`, which merges less.

use hashbrown::HashMap;

use crate::{FeatureError, aggregate::State};

/// The number of rows in a block of the lowest level.
const ROWS: usize = 32;
/// The number of blocks in a block of the next level.
const FANOUT: usize = 4;

/// Blocks of states over the rows of one entity.
pub(super) struct Tree<'a, A: Fn(&mut State, usize)> {
    identity: &'a State,
    add: A,
    blocks: HashMap<(u8, usize), State>,
}

impl<'a, A: Fn(&mut State, usize)> Tree<'a, A> {
    /// `add` adds one row to a state.
    pub(super) fn new(identity: &'a State, add: A) -> Self {
        Self { identity, add, blocks: HashMap::new() }
    }

    /// Adds rows `low` to `high` (excluded) to a state.
    pub(super) fn range_into(
        &mut self,
        state: &mut State,
        low: usize,
        high: usize,
    ) -> Result<(), FeatureError> {
        let (first, last) = (low.div_ceil(ROWS), high / ROWS);
        if first >= last {
            (low..high).for_each(|row| (self.add)(state, row));
            return Ok(());
        }
        (low..first * ROWS).for_each(|row| (self.add)(state, row));
        self.blocks_into(state, 0, first, last)?;
        (last * ROWS..high).for_each(|row| (self.add)(state, row));
        Ok(())
    }

    fn blocks_into(
        &mut self,
        state: &mut State,
        level: u8,
        first: usize,
        last: usize,
    ) -> Result<(), FeatureError> {
        let (above_first, above_last) = (first.div_ceil(FANOUT), last / FANOUT);
        if above_first >= above_last {
            return self.merge(state, level, first, last);
        }
        self.merge(state, level, first, above_first * FANOUT)?;
        self.blocks_into(state, level + 1, above_first, above_last)?;
        self.merge(state, level, above_last * FANOUT, last)
    }

    fn merge(&mut self, state: &mut State, level: u8, first: usize, last: usize) -> Result<(), FeatureError> {
        for index in first..last {
            if let Some(block) = self.blocks.get(&(level, index)) {
                state.merge(block)?;
                continue;
            }
            let mut block = self.identity.clone();
            match level {
                0 => (index * ROWS..(index + 1) * ROWS).for_each(|row| (self.add)(&mut block, row)),
                _ => self.merge(&mut block, level - 1, index * FANOUT, (index + 1) * FANOUT)?,
            }
            state.merge(&block)?;
            self.blocks.insert((level, index), block);
        }
        Ok(())
    }
}
