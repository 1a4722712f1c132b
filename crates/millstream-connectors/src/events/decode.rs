//! Records of the log into rows.

use std::sync::Arc;

use arrow::{
    array::{Int64Array, RecordBatch, TimestampMicrosecondArray},
    compute::concat_batches,
    error::ArrowError,
};
use millstream_connector::{Arrivals, Block, ConnectorError, Intake, MalformedRow, Positions, SourceBatch};
use millstream_log::{Batch, Message, Payload, Place};
use millstream_types::{Field, TimestampMicros};

use crate::{json::JsonRows, plain::plain_batch};

/// Records of one partition, with offsets that ascend: messages alone, or rows of one schema.
#[derive(Debug)]
struct EventBlock {
    place: Place,
    batches: Vec<Batch>,
    /// The columns that most events can be expected to have.
    columns: Arc<[Field]>,
}

/// The records that were read of a partition as blocks, each of what decodes together.
pub(super) fn blocks(place: &Place, batches: Vec<Batch>, columns: &Arc<[Field]>) -> Vec<Box<dyn Block>> {
    let alike = |one: &Batch, other: &Batch| match (&one.payload, &other.payload) {
        (Payload::Messages(_), Payload::Messages(_)) => true,
        (Payload::Rows(one), Payload::Rows(other)) => one.schema_ref() == other.schema_ref(),
        _ => false,
    };
    let mut blocks: Vec<Box<EventBlock>> = Vec::new();
    for batch in batches {
        match blocks.last_mut() {
            Some(block) if block.batches.last().is_some_and(|last| alike(last, &batch)) => {
                block.batches.push(batch);
            }
            _ => blocks.push(Box::new(EventBlock {
                place: place.clone(),
                batches: vec![batch],
                columns: columns.clone(),
            })),
        }
    }
    blocks.into_iter().map(|block| block as Box<dyn Block>).collect()
}

impl Block for EventBlock {
    fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| payload_bytes(&batch.payload)).sum()
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let broken = |error: ArrowError| ConnectorError::Broken {
            part: self.place.to_string(),
            reason: error.to_string(),
        };
        let mut events = Events::default();
        let mut messages = Messages::new(&self.columns, &self.batches);
        let mut rows = Vec::new();
        for batch in &self.batches {
            match &batch.payload {
                Payload::Messages(sent) => {
                    for (offset, message) in batch.offsets().zip(sent) {
                        messages.add(as_position(offset), batch.timestamp.0, message, &mut events);
                    }
                }
                Payload::Rows(batch_rows) => {
                    batch.offsets().for_each(|offset| events.take(as_position(offset), batch.timestamp.0));
                    rows.push(plain_batch(batch_rows).map_err(broken)?);
                }
            }
        }
        let rows = match rows.first() {
            Some(first) => concat_batches(&first.schema(), &rows),
            None => messages.0.finish(),
        };
        let since = self.batches.first().map_or(TimestampMicros(0), |batch| batch.timestamp);
        let last = self.batches.last().and_then(|batch| batch.offsets().last());
        Ok(events.batch(rows.map_err(broken)?, &self.place, since, last))
    }
}

fn payload_bytes(payload: &Payload) -> usize {
    match payload {
        Payload::Messages(messages) => {
            messages.iter().map(|message| message.value.as_ref().map_or(0, |value| value.len())).sum()
        }
        Payload::Rows(rows) => rows.get_array_memory_size(),
    }
}

fn as_position(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// What is known of records beside their values.
#[derive(Default)]
struct Events {
    /// The offsets of those that are rows.
    offsets: Vec<i64>,
    /// When each of them was appended.
    instants: Vec<i64>,
    malformed: Vec<MalformedRow>,
}

impl Events {
    fn take(&mut self, position: i64, appended: i64) {
        self.offsets.push(position);
        self.instants.push(appended);
    }

    fn batch(
        self,
        rows: RecordBatch,
        place: &Place,
        since: TimestampMicros,
        last: Option<u64>,
    ) -> SourceBatch {
        let sequence =
            |position: &i64| Intake::sequence(place.partition, u64::try_from(*position).unwrap_or(0));
        let arrivals = Arrivals {
            since,
            sequences: self.offsets.iter().map(sequence).collect::<Vec<_>>().into(),
            instants: TimestampMicrosecondArray::from(self.instants).with_timezone("UTC"),
        };
        SourceBatch {
            rows,
            positions: positions(self.offsets),
            operations: None,
            arrivals: Some(arrivals),
            malformed: self.malformed,
            last_position: last.map(as_position),
        }
    }
}

/// Ascending positions; a run without a gap is kept as its start.
fn positions(offsets: Vec<i64>) -> Positions {
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last))
            if usize::try_from(last - first).is_ok_and(|gap| gap + 1 == offsets.len()) =>
        {
            Positions::From(*first)
        }
        _ => Positions::Each(Int64Array::from(offsets)),
    }
}

/// Messages on their way to rows.
struct Messages(JsonRows);

impl Messages {
    /// Room for the messages of `batches`.
    fn new(columns: &[Field], batches: &[Batch]) -> Self {
        let records = batches.iter().map(|batch| batch.payload.records()).sum();
        let bytes: usize = batches.iter().map(|batch| payload_bytes(&batch.payload)).sum();
        let names = columns.iter().map(|field| field.name.clone());
        Self(JsonRows::new(names, records, bytes / (2 * columns.len().max(1))))
    }

    fn add(&mut self, position: i64, appended: i64, message: &Message, events: &mut Events) {
        let value = message.value.as_deref().unwrap_or_default();
        let (text, bytes, reason) = match std::str::from_utf8(value) {
            Ok(text) => match self.0.add(text) {
                Ok(()) => return events.take(position, appended),
                Err(reason) => (text.to_owned(), None, reason),
            },
            Err(_) => {
                let text = String::from_utf8_lossy(value).into_owned();
                (text, Some(value.to_vec()), "it is not valid UTF-8".to_owned())
            }
        };
        events.malformed.push(MalformedRow { position, text, bytes, reason });
    }
}
