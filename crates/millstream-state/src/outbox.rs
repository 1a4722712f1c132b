//! Messages for receivers outside: they are kept in the transaction that records what they tell, and go when they were taken.
//!
//! Of work that has begun, its last words are kept beside: what is to be told should its process end without a word. They become
//! a message when the work is found to be interrupted, and are forgotten when it ends.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, RunId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::{Work, changed},
    value,
};

/// A message that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The word for the receiver.
    pub receiver: &'static str,
    pub message: String,
}

/// A message that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// A later message has a higher place.
    pub place: i64,
    /// When that was which it tells.
    pub at: TimestampMicros,
    pub message: String,
    /// How often the receiver has refused it.
    pub refusals: u64,
}

/// The oldest messages for a receiver, which are nobody else's for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    receiver: String,
    /// The end of the claim, by which its messages are known.
    until: i64,
    /// The oldest first; empty where none wait, and where somebody else has claimed the oldest.
    pub messages: Vec<Message>,
}

/// The beginning of work, and what is told of it.
#[derive(Clone, Debug)]
pub struct Begun<'a> {
    pub run: &'a RunId,
    /// The asset of a step; `None` for the run itself.
    pub asset: Option<&'a AssetId>,
    pub at: TimestampMicros,
    pub messages: &'a [NewMessage],
    pub last_words: &'a [NewMessage],
}

impl State {
    /// Keeps what is told of work that begins, and its last words.
    pub fn tell_begun<'a>(&'a self, begun: &'a Begun<'a>) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("keep messages").await?;
                insert(&mut work, begun.at, begun.messages).await?;
                let asset = begun.asset.map_or("", AssetId::as_str);
                for words in begun.last_words {
                    work.execute(
                        "INSERT INTO last_words (run, asset, receiver, message) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (run, asset, receiver) DO UPDATE SET message = excluded.message",
                        &parameters![begun.run.as_str(), asset, words.receiver, &words.message],
                    )
                    .await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// At most `limit` messages for the receiver, the oldest first, which are nobody else's until `now` + `length`.
    pub fn claim_messages<'a>(
        &'a self,
        receiver: &'a str,
        limit: usize,
        now: TimestampMicros,
        length: Duration,
    ) -> BoxFuture<'a, Result<Claim, StateError>> {
        async move {
            let none = Claim { receiver: receiver.to_owned(), until: 0, messages: Vec::new() };
            // Writers take turns, so that an outbox that is empty, as it mostly is, is only read.
            let mut look = self.reading("look for messages").await?;
            let at = look.now(now).await?;
            let is_free =
                is_waiting(&mut look, receiver).await? && !is_claimed(&mut look, receiver, at).await?;
            look.end().await?;
            if !is_free {
                return Ok(none);
            }
            let mut work = self.change("claim messages").await?;
            let at = work.now(now).await?;
            if is_claimed(&mut work, receiver, at).await? {
                work.end().await?;
                return Ok(none);
            }
            let until = at.0.saturating_add(value::duration_in(length));
            let sql = "UPDATE outbox SET claimed = $2 WHERE place IN (\
                         SELECT place FROM outbox WHERE receiver = $1 ORDER BY place LIMIT $3) \
                       RETURNING place, at, message, refusals";
            let limit = value::count_in(limit as u64);
            let rows = work.rows(sql, &parameters![receiver, until, limit]).await?;
            work.commit().await?;
            let mut messages = rows.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            messages.sort_by_key(|message| message.place);
            Ok(Claim { until, messages, ..none })
        }
        .boxed()
    }

    /// Ends a claim: forgets those of its messages that are `done`, counts that the receiver has `refused` others, and lets
    /// others have what is left of it. Places that a claim does not hold any more, since it was too long, are changed all the
    /// same: what was taken needs no sending.
    pub fn end_claim<'a>(
        &'a self,
        claim: &'a Claim,
        done: &'a [i64],
        refused: &'a [i64],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let rows =
                |places: &[i64]| places.iter().map(|place| parameters![*place].to_vec()).collect::<Vec<_>>();
            let (done, refused) = (rows(done), rows(refused));
            changed!(self, async {
                let mut work = self.change("forget messages").await?;
                work.execute_each("DELETE FROM outbox WHERE place = $1", &done).await?;
                work.execute_each("UPDATE outbox SET refusals = refusals + 1 WHERE place = $1", &refused)
                    .await?;
                work.execute(
                    "UPDATE outbox SET claimed = NULL WHERE receiver = $1 AND claimed = $2",
                    &parameters![claim.receiver.as_str(), claim.until],
                )
                .await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Drops the oldest messages for the receiver, so that at most `max` are left. Returns how many went.
    pub fn drop_oldest_messages<'a>(
        &'a self,
        receiver: &'a str,
        max: u64,
    ) -> BoxFuture<'a, Result<u64, StateError>> {
        async move {
            let sql = "SELECT place FROM outbox WHERE receiver = $1 ORDER BY place DESC LIMIT 1 OFFSET $2";
            let past = parameters![receiver, value::count_in(max)];
            let rows = self.rows("count the messages", sql, &past).await?;
            let Some(mut newest) = rows.into_iter().next() else { return Ok(0) };
            let newest = newest.integer(0)?;
            let mut work = self.change("drop messages").await?;
            let sql = "DELETE FROM outbox WHERE receiver = $1 AND place <= $2";
            let dropped = work.execute(sql, &parameters![receiver, newest]).await?;
            work.commit().await?;
            Ok(dropped)
        }
        .boxed()
    }

    /// The number of messages that wait for the receiver.
    pub fn messages_waiting<'a>(&'a self, receiver: &'a str) -> BoxFuture<'a, Result<u64, StateError>> {
        async move {
            let sql = "SELECT count(*) FROM outbox WHERE receiver = $1";
            let rows = self.rows("count the messages", sql, &parameters![receiver]).await?;
            let count = rows.into_iter().next().map(|mut row| row.integer(0)).transpose()?;
            Ok(value::count_out(count.unwrap_or(0)))
        }
        .boxed()
    }
}

async fn is_waiting(work: &mut Work<'_>, receiver: &str) -> Result<bool, StateError> {
    let sql = "SELECT place FROM outbox WHERE receiver = $1 ORDER BY place LIMIT 1";
    Ok(work.row(sql, &parameters![receiver]).await?.is_some())
}

/// Whether somebody sends messages to the receiver. Whoever has claimed the oldest sends the later ones too, so that they
/// arrive in order.
async fn is_claimed(work: &mut Work<'_>, receiver: &str, now: TimestampMicros) -> Result<bool, StateError> {
    let sql = "SELECT place FROM outbox WHERE receiver = $1 AND claimed > $2 LIMIT 1";
    Ok(work.row(sql, &parameters![receiver, now.0]).await?.is_some())
}

/// Keeps messages.
pub(crate) async fn insert(
    work: &mut Work<'_>,
    at: TimestampMicros,
    messages: &[NewMessage],
) -> Result<(), StateError> {
    if messages.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = messages
        .iter()
        .map(|message| parameters![message.receiver, at.0, &message.message].to_vec())
        .collect();
    work.execute_each("INSERT INTO outbox (receiver, at, message) VALUES ($1, $2, $3)", &rows).await
}

/// Forgets the last words of a step that has ended.
pub(crate) async fn forget_last_words(
    work: &mut Work<'_>,
    run: &RunId,
    asset: &AssetId,
) -> Result<(), StateError> {
    let step = parameters![run.as_str(), asset.as_str()];
    work.execute("DELETE FROM last_words WHERE run = $1 AND asset = $2", &step).await.map(|_| ())
}

/// Tells the last words of the steps of a run that ends, whose own ends were not recorded, and forgets those of the run.
pub(crate) async fn end_run(work: &mut Work<'_>, run: &RunId, at: TimestampMicros) -> Result<(), StateError> {
    work.execute(
        "INSERT INTO outbox (receiver, at, message) SELECT receiver, $2, message FROM last_words \
         WHERE run = $1 AND asset <> '' ORDER BY asset",
        &parameters![run.as_str(), at.0],
    )
    .await?;
    work.execute("DELETE FROM last_words WHERE run = $1", &parameters![run.as_str()]).await.map(|_| ())
}

/// Tells the last words of all work of runs that were interrupted: of steps first.
pub(crate) async fn tell_interrupted(work: &mut Work<'_>, at: TimestampMicros) -> Result<(), StateError> {
    let of_interrupted = "(SELECT r.outcome FROM runs r WHERE r.run = last_words.run) = 'interrupted'";
    let told = work
        .execute(
            &format!(
                "INSERT INTO outbox (receiver, at, message) SELECT receiver, $1, message FROM last_words \
                 WHERE {of_interrupted} ORDER BY run, asset DESC"
            ),
            &parameters![at.0],
        )
        .await?;
    if told > 0 {
        work.execute(&format!("DELETE FROM last_words WHERE {of_interrupted}"), &[]).await?;
    }
    Ok(())
}

fn parse(mut row: Row) -> Result<Message, StateError> {
    Ok(Message {
        place: row.integer(0)?,
        at: TimestampMicros(row.integer(1)?),
        message: row.text(2)?,
        refusals: value::count_out(row.integer(3)?),
    })
}
