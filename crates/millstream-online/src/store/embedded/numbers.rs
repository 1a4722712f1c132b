//! Numbers that a log gives to callers, each once: taken in blocks, so that few calls have to store anything.

use std::collections::HashMap;

use tokio::sync::Mutex;

use super::{
    layout::{self, NUMBER_FACT},
    spaces::Spaces,
    writer::{Commit, SharedKeyspace, Writer},
};
use crate::error::{OnlineError, Result};

/// How many numbers are stored as given beyond those that were asked for; a crash may leave all of these out.
const BLOCK: u64 = 4096;

/// By log, the first number that no caller has been given yet, and the end of the stored block: numbers from there on must
/// not be given before another block is stored.
#[derive(Debug, Default)]
pub(super) struct Numbers(Mutex<HashMap<String, (u64, u64)>>);

impl Numbers {
    /// The first of `count` numbers in a row.
    ///
    /// A block is in the journal before any of its numbers is given, and so before anything that is stored with one: a
    /// crash that loses the block loses those as well.
    pub(super) async fn take(&self, log: &str, count: u64, spaces: &Spaces, writer: &Writer) -> Result<u64> {
        let mut blocks = self.0.lock().await;
        let (next, end) = match blocks.get(log) {
            Some(block) => *block,
            None => {
                let first = stored(log, spaces)?;
                (first, first)
            }
        };
        let exhausted = || OnlineError::Request { reason: format!("the log `{log}` has no numbers left") };
        let after = next.checked_add(count).ok_or_else(exhausted)?;
        let mut end = end;
        if after > end {
            end = after.checked_add(BLOCK).ok_or_else(exhausted)?;
            let given = (end - 1).to_be_bytes().to_vec();
            let others = vec![(SharedKeyspace::Facts, layout::fact_key(NUMBER_FACT, log), Some(given))];
            writer.commit(Commit { others, ..Commit::default() }).await?;
        }
        blocks.insert(log.into(), (after, end));
        Ok(next)
    }
}

impl Numbers {
    /// Gives no number up to this one any more.
    pub(super) async fn raise(&self, log: &str, number: u64, spaces: &Spaces, writer: &Writer) -> Result<()> {
        let next = match self.0.lock().await.get(log) {
            Some((next, _)) => *next,
            None => stored(log, spaces)?,
        };
        match number.checked_sub(next) {
            // The numbers up to this one are taken and not used; a crash leaves numbers out in the same way.
            Some(behind) => self.take(log, behind + 1, spaces, writer).await.map(drop),
            None => Ok(()),
        }
    }
}

/// The first number that was certainly not given before the store was opened.
fn stored(log: &str, spaces: &Spaces) -> Result<u64> {
    let given = spaces.facts.get(layout::fact_key(NUMBER_FACT, log));
    match given.map_err(|error| spaces.faults.of("reserve numbers", error))? {
        None => Ok(1),
        Some(bytes) => match layout::number(&bytes) {
            Some(given) => Ok(given.saturating_add(1)),
            None => Err(spaces.faults.damaged("a log's last number cannot be read", None)),
        },
    }
}
