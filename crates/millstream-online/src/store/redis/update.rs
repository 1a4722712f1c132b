//! Changing records of a server that others change too: a record is replaced only if it is still the one that its
//! change was worked out from, otherwise the change is worked out again.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use redis::{Pipeline, RedisError, Script};

use super::{
    PIPELINE_BYTES, PIPELINE_MAX, READ, RECORD, RedisStore,
    layout::{self, Stamp},
    server::{fault, lacks_scripts, leaves_doubt, passes},
};
use crate::{
    error::{OnlineError, Result},
    store::{Append, Change, Changer, EntityKey, check::check_value},
};

/// How often a change is worked out before the caller is told that others are always faster.
const ATTEMPTS_MAX: usize = 32;

const DELAY_MIN: Duration = Duration::from_millis(1);
const DELAY_MAX: Duration = Duration::from_millis(100);

const STORE: &str = "store a change";

/// Replaces a record if its header is the expected one. Arguments: space, header or nothing, new bytes or nothing.
const REPLACE: &str = r"
local present = redis.call('HGET', KEYS[1], ARGV[1])
local stamp = ''
if present then stamp = string.sub(present, 1, 9) end
if stamp ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
";

/// Appends the arguments to a stream, with positions in a row; answers with the last.
const APPEND: &str = r"
local last = redis.call('INCRBY', KEYS[2], #ARGV)
for index, entry in ipairs(ARGV) do
  redis.call('XADD', KEYS[1], string.format('%.0f-0', last - #ARGV + index), 'b', entry)
end
return last
";

/// The scripts, which the server knows by their hash.
#[derive(Debug)]
pub(super) struct Scripts {
    replace: Script,
    append: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self { replace: Script::new(REPLACE), append: Script::new(APPEND) }
    }

    /// The commands that make both scripts known to the server.
    pub(super) fn load(&self) -> Pipeline {
        let mut commands = Pipeline::new();
        for code in [REPLACE, APPEND] {
            commands.cmd("SCRIPT").arg("LOAD").arg(code).ignore();
        }
        commands
    }
}

/// A record that is not stored yet.
#[derive(Clone, Debug)]
struct Pending {
    /// The record's place among the update's entities.
    index: usize,
    /// What was sent while the connection broke: the header that was expected, and the new one.
    doubt: Option<(Stamp, Stamp)>,
}

/// A record's new state, worked out from the one that was read.
#[derive(Debug)]
struct Replacement {
    index: usize,
    expected: Stamp,
    /// The record's new bytes behind their header; none deletes the record.
    stored: Option<Vec<u8>>,
}

impl RedisStore {
    /// Changes the records, after the log's entries are stored. Answers with the number of changed records and the
    /// entries' positions; `touched` says whether anything may have been stored, also after a failure.
    pub(super) async fn change_records(
        &self,
        space: u64,
        entities: &[EntityKey],
        change: &mut Changer<'_>,
        append: Option<&Append<'_>>,
        touched: &mut bool,
    ) -> Result<(usize, Range<u64>)> {
        let all = 0..entities.len();
        let mut pending: Vec<Pending> = all.map(|index| Pending { index, doubt: None }).collect();
        let (mut changed, mut positions) = (0, 0..0);
        let mut delay = DELAY_MIN;
        for attempt in 0..ATTEMPTS_MAX {
            let present = self.present(space, entities, &pending).await?;
            changed += settle(&mut pending, &present)?;
            let replacements = self.work_out(&pending, &present, change)?;
            if attempt == 0
                && let Some(append) = append
            {
                positions = self.append(append).await?;
                *touched |= !positions.is_empty();
            }
            *touched |= !replacements.is_empty();
            let (stored, left) = self.replace(space, entities, replacements).await?;
            changed += stored;
            pending = left;
            if pending.is_empty() {
                return Ok((changed, positions));
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(DELAY_MAX);
        }
        Err(OnlineError::Contended { attempts: ATTEMPTS_MAX })
    }

    /// The stored bytes of the pending records, by place among the entities.
    async fn present(
        &self,
        space: u64,
        entities: &[EntityKey],
        pending: &[Pending],
    ) -> Result<Vec<Option<Bytes>>> {
        let mut present = vec![None; entities.len()];
        for part in pending.chunks(PIPELINE_MAX) {
            let mut commands = Pipeline::with_capacity(part.len());
            for entity in part.iter().filter_map(|record| entities.get(record.index)) {
                commands.cmd("HGET").arg(self.keys.entity(entity)).arg(&space.to_be_bytes());
            }
            let answers: Vec<Option<Vec<u8>>> = self.server.change(READ, &commands).await?;
            for (record, answer) in part.iter().zip(answers) {
                if let Some(place) = present.get_mut(record.index) {
                    *place = answer.map(Bytes::from);
                }
            }
        }
        Ok(present)
    }

    /// Asks the caller for the new states; those that change nothing are left out.
    fn work_out(
        &self,
        pending: &[Pending],
        present: &[Option<Bytes>],
        change: &mut Changer<'_>,
    ) -> Result<Vec<Replacement>> {
        let mut replacements = Vec::with_capacity(pending.len());
        for &Pending { index, .. } in pending {
            let stored = present.get(index).cloned().flatten();
            let record = match stored {
                Some(stored) => Some(layout::record(stored).ok_or_else(|| self.damaged(RECORD))?),
                None => None,
            };
            let expected = stamp_of(present, index);
            let stored = match change(index, record.as_deref())? {
                Change::Keep => continue,
                Change::Put(record) => {
                    check_value("a record", &record)?;
                    Some(layout::stamped(&record))
                }
                Change::Delete => None,
            };
            if stored.as_deref().and_then(layout::stamp) != expected {
                replacements.push(Replacement { index, expected, stored });
            }
        }
        Ok(replacements)
    }

    /// Sends the replacements. Answers with how many took place, and those that have to be worked out again.
    async fn replace(
        &self,
        space: u64,
        entities: &[EntityKey],
        replacements: Vec<Replacement>,
    ) -> Result<(usize, Vec<Pending>)> {
        let (mut stored, mut left) = (0, Vec::new());
        let mut rest = replacements.as_slice();
        while !rest.is_empty() {
            let (part, others) = rest.split_at(part_len(rest));
            rest = others;
            let mut commands = Pipeline::with_capacity(part.len());
            for replacement in part {
                let Some(entity) = entities.get(replacement.index) else { continue };
                commands
                    .cmd("EVALSHA")
                    .arg(self.scripts.replace.get_hash())
                    .arg(1)
                    .arg(self.keys.entity(entity))
                    .arg(&space.to_be_bytes())
                    .arg(replacement.expected.as_ref().map_or(&[][..], |stamp| stamp))
                    .arg(replacement.stored.as_deref().unwrap_or_default());
            }
            match self.server.change_once::<Vec<u8>>(&commands).await {
                Ok(answers) => {
                    for (replacement, answer) in part.iter().zip(answers) {
                        match answer {
                            1 => stored += 1,
                            _ => left.push(Pending { index: replacement.index, doubt: None }),
                        }
                    }
                }
                Err(error) => {
                    self.recover(error).await?;
                    left.extend(part.iter().map(Replacement::doubted));
                }
            }
        }
        Ok((stored, left))
    }

    /// Whether after this error the same may be tried again, once it is known what took place.
    async fn recover(&self, error: RedisError) -> Result<()> {
        if lacks_scripts(&error) {
            return self.server.change(STORE, &self.scripts.load()).await;
        }
        if leaves_doubt(&error) || passes(&error) {
            tracing::warn!(%error, "a change of the online store is checked and tried again");
            return Ok(());
        }
        Err(fault(STORE, error))
    }

    /// Entries that are sent twice would be stored twice, so after a broken connection nobody knows.
    async fn append(&self, append: &Append<'_>) -> Result<Range<u64>> {
        if append.entries.is_empty() {
            return Ok(0..0);
        }
        let mut commands = Pipeline::new();
        commands.cmd("EVALSHA").arg(self.scripts.append.get_hash()).arg(2);
        commands.arg(self.keys.log(append.log)).arg(self.keys.position(append.log));
        for entry in append.entries {
            commands.arg(entry.as_ref());
        }
        let mut sent = self.server.change_once::<Vec<u64>>(&commands).await;
        if let Err(error) = &sent
            && lacks_scripts(error)
        {
            self.server.change::<()>(STORE, &self.scripts.load()).await?;
            sent = self.server.change_once(&commands).await;
        }
        match sent {
            Ok(last) => {
                let end = last.first().copied().unwrap_or_default() + 1;
                Ok(end.saturating_sub(append.entries.len() as u64)..end)
            }
            Err(error) if leaves_doubt(&error) => {
                Err(OnlineError::OutcomeUnknown { action: "append to a log", source: Box::new(error) })
            }
            Err(error) => Err(fault("append to a log", error)),
        }
    }
}

impl Replacement {
    fn doubted(&self) -> Pending {
        let new = self.stored.as_deref().and_then(layout::stamp);
        Pending { index: self.index, doubt: Some((self.expected, new)) }
    }
}

/// Takes out the doubted changes that took place after all, and counts them.
fn settle(pending: &mut Vec<Pending>, present: &[Option<Bytes>]) -> Result<usize> {
    let before = pending.len();
    let mut lost = false;
    pending.retain(|record| {
        let Some((expected, new)) = record.doubt else { return true };
        let stamp = stamp_of(present, record.index);
        lost |= stamp != expected && stamp != new;
        stamp != new
    });
    if lost {
        let source = "the connection broke, and the record was changed by others since".into();
        return Err(OnlineError::OutcomeUnknown { action: STORE, source });
    }
    Ok(before - pending.len())
}

fn stamp_of(present: &[Option<Bytes>], index: usize) -> Stamp {
    present.get(index).and_then(Option::as_ref).and_then(|stored| layout::stamp(stored))
}

/// How many replacements go in one pipeline.
fn part_len(replacements: &[Replacement]) -> usize {
    let mut bytes = 0;
    let fits = |replacement: &&Replacement| {
        let fits = bytes < PIPELINE_BYTES;
        bytes += replacement.stored.as_ref().map_or(0, Vec::len);
        fits
    };
    replacements.iter().take(PIPELINE_MAX).take_while(fits).count()
}
