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

/// The messages that are kept at most; older ones go.
pub const MESSAGES_MAX: i64 = 100_000;

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
    ) -> BoxFuture<'a, Result<Vec<Message>, StateError>> {
        async move {
            let mut work = self.change("claim messages").await?;
            let now = work.now(now).await?;
            let until = now.0.saturating_add(value::duration_in(length));
            // Whoever has claimed the oldest messages sends the later ones too, so that they arrive in order.
            let sql = "SELECT count(*) FROM outbox WHERE receiver = $1 AND claimed > $2";
            let row = work.row(sql, &parameters![receiver, now.0]).await?;
            if row.map(|mut row| row.integer(0)).transpose()?.unwrap_or(0) > 0 {
                work.end().await?;
                return Ok(Vec::new());
            }
            let sql = "UPDATE outbox SET claimed = $2 WHERE place IN (\
                         SELECT place FROM outbox WHERE receiver = $1 ORDER BY place LIMIT $3) \
                       RETURNING place, at, message";
            let limit = value::count_in(limit as u64);
            let rows = work.rows(sql, &parameters![receiver, until, limit]).await?;
            work.commit().await?;
            let mut messages = rows.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            messages.sort_by_key(|message| message.place);
            Ok(messages)
        }
        .boxed()
    }

    /// Forgets messages that were taken, and lets others have the ones that were claimed with them and were not.
    pub fn messages_taken<'a>(
        &'a self,
        receiver: &'a str,
        taken: &'a [i64],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("forget messages").await?;
                let rows: Vec<_> = taken.iter().map(|place| parameters![*place].to_vec()).collect();
                work.execute_each("DELETE FROM outbox WHERE place = $1", &rows).await?;
                work.execute("UPDATE outbox SET claimed = NULL WHERE receiver = $1", &parameters![receiver])
                    .await?;
                work.commit().await
            })
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

/// Keeps messages, and drops the oldest where there are too many.
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
    work.execute_each("INSERT INTO outbox (receiver, at, message) VALUES ($1, $2, $3)", &rows).await?;
    work.execute(
        "DELETE FROM outbox WHERE place <= (SELECT max(place) FROM outbox) - $1",
        &parameters![MESSAGES_MAX],
    )
    .await
    .map(|_| ())
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
    Ok(Message { place: row.integer(0)?, at: TimestampMicros(row.integer(1)?), message: row.text(2)? })
}
