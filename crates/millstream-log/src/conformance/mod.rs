//! The suite that every event log passes: what readers and producers rely on, stated once.
//!
//! A log's tests implement [`Fixture`] and call [`check`]. A failure is a sentence that names the step. Times are whole milliseconds,
//! because Kafka has no finer ones.

mod keeping;
mod producing;
mod reading;

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::future::{BoxFuture, LocalBoxFuture};
use millstream_types::TimestampMicros;

use crate::{
    Append, EventLog, LogError, Message, Payload, Place, Position, ReadBound, Sequenced, TopicName,
    TopicOptions,
};

/// A log that the suite can open again.
pub trait Fixture: Send {
    /// The log, opened anew: what was opened before was closed. Topics of earlier steps may be there.
    fn open(&mut self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, LogError>>;

    /// Moves the clock by which records get their times of appending; false where it goes by itself.
    fn advance(&mut self, milliseconds: i64) -> bool;
}

/// Runs the whole suite.
pub fn check<'a>(fixture: &'a mut dyn Fixture) -> LocalBoxFuture<'a, Result<(), String>> {
    Box::pin(async move {
        producing::topics(fixture).await?;
        producing::whole_batches(fixture).await?;
        producing::side_by_side(fixture).await?;
        producing::nothing_twice(fixture).await?;
        producing::lives_of_a_producer(fixture).await?;
        producing::wrong_requests(fixture).await?;
        reading::what_was_appended(fixture).await?;
        reading::rows_of_many_schemas(fixture).await?;
        reading::any_offset(fixture).await?;
        reading::any_time(fixture).await?;
        reading::times_of_producers(fixture).await?;
        reading::waiting(fixture).await?;
        reading::tails(fixture).await?;
        keeping::restarts(fixture).await?;
        keeping::trimmed(fixture).await?;
        keeping::pins(fixture).await?;
        keeping::deleted(fixture).await?;
        keeping::closed(fixture).await
    })
}

type Log = Arc<dyn EventLog>;

/// What a step of the suite says when it fails.
fn fail<T>(step: &str, what: impl std::fmt::Display) -> Result<T, String> {
    Err(format!("{step}: {what}"))
}

fn expect(step: &str, holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { fail(step, what()) }
}

/// The value of a call that must succeed.
fn done<T>(step: &str, outcome: Result<T, LogError>) -> Result<T, String> {
    outcome.map_err(|error| format!("{step}: {} {error}", error.code()))
}

/// A call that must be refused with this code.
fn refused<T: std::fmt::Debug>(step: &str, outcome: Result<T, LogError>, code: &str) -> Result<(), String> {
    match outcome {
        Err(error) if error.code() == code => Ok(()),
        Err(error) => fail(step, format!("{code} was expected, not {} {error}", error.code())),
        Ok(value) => fail(step, format!("{code} was expected, not {value:?}")),
    }
}

/// Opens the log with a topic of that name, empty.
async fn begin(fixture: &mut dyn Fixture, step: &str, partitions: u32) -> Result<(Log, TopicName), String> {
    let options = TopicOptions { partitions, ..TopicOptions::default() };
    begin_with(fixture, step, &options).await
}

async fn begin_with(
    fixture: &mut dyn Fixture,
    step: &str,
    options: &TopicOptions,
) -> Result<(Log, TopicName), String> {
    let log = done(step, fixture.open().await)?;
    let topic = done(step, TopicName::new(step))?;
    match log.delete(&topic).await {
        Ok(()) | Err(LogError::NoTopic { .. }) => {}
        Err(error) => return fail(step, error),
    }
    done(step, log.create(&topic, options).await)?;
    Ok((log, topic))
}

fn message(value: &str) -> Message {
    Message { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Message::default() }
}

fn messages(values: impl IntoIterator<Item = u64>) -> Vec<Message> {
    values.into_iter().map(|value| message(&value.to_string())).collect()
}

fn numbered(producer: u128, epoch: u32, sequence: u64) -> Sequenced {
    Sequenced { producer, epoch, sequence }
}

/// Appends messages that say the numbers.
async fn put(log: &Log, place: &Place, values: std::ops::Range<u64>) -> Result<(), LogError> {
    log.append(Append::messages(place, messages(values))).await.map(|_| ())
}

/// A record as text, with its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    offset: u64,
    value: String,
}

/// All records from the position on.
async fn all(log: &Log, from: &Position) -> Result<Vec<Found>, LogError> {
    let mut found = Vec::new();
    let mut position = from.clone();
    loop {
        let read = log.read(&position, ReadBound { bytes: 4096, records: 7 }).await?;
        if read.batches.is_empty() {
            return Ok(found);
        }
        for batch in &read.batches {
            let values = values(&batch.payload);
            found.extend((batch.offset..).zip(values).map(|(offset, value)| Found { offset, value }));
        }
        position.offset = read.next;
    }
}

fn values(payload: &Payload) -> Vec<String> {
    match payload {
        Payload::Messages(messages) => {
            let text =
                |message: &Message| String::from_utf8_lossy(message.value.as_deref().unwrap_or(b"-")).into();
            messages.iter().map(text).collect()
        }
        Payload::Rows(rows) => (0..rows.num_rows()).map(|row| text_of(rows, row)).collect(),
    }
}

fn text_of(rows: &RecordBatch, row: usize) -> String {
    let options = arrow::util::display::FormatOptions::default().with_null("null");
    let cell = |column| {
        let formatter = arrow::util::display::ArrayFormatter::try_new(column, &options);
        formatter.map_or_else(|error| error.to_string(), |formatter| formatter.value(row).to_string())
    };
    rows.columns().iter().map(|column| cell(column.as_ref())).collect::<Vec<_>>().join("|")
}

/// The numbers as records that begin at an offset.
fn counted(offset: u64, values: impl IntoIterator<Item = u64>) -> Vec<Found> {
    let values = values.into_iter().map(|value| value.to_string());
    (offset..).zip(values).map(|(offset, value)| Found { offset, value }).collect()
}

fn ms(milliseconds: i64) -> TimestampMicros {
    TimestampMicros::from_ms(milliseconds)
}
