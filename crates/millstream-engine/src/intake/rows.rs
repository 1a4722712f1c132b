//! Events as rows of Arrow's stream format.
//!
//! Whoever sends a stream says in it how large things are. A compressed buffer says how much it becomes, and a column of nulls how
//! many it has, without bytes that would show it; the former is refused, and the latter falls under the bound of events.

use std::{collections::BTreeMap, io::Cursor};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, UInt32Array},
    compute::take_record_batch,
    ipc::{MessageHeader, reader::StreamReader, root_as_message},
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;
use millstream_log::partition_of;

use super::{
    IntakeError,
    events::{EventFault, EventRules, FAULTS_MAX},
};

/// What stands before the length of each message of a stream.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Rows of one schema.
#[derive(Clone, Debug)]
pub struct EventRows {
    batches: Vec<RecordBatch>,
    /// The column whose value decides on a row's partition.
    key: Option<usize>,
}

impl EventRows {
    pub(super) fn count(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::get_array_memory_size).sum()
    }

    /// The rows of each partition, in their order; those without a key belong to `otherwise`.
    pub(super) fn by_partition(
        self,
        partitions: u32,
        otherwise: u32,
    ) -> Result<BTreeMap<u32, Vec<RecordBatch>>, IntakeError> {
        let mut all: BTreeMap<u32, Vec<RecordBatch>> = BTreeMap::new();
        for batch in self.batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            let (true, Some(key)) = (partitions > 1, self.key.and_then(|at| batch.columns().get(at))) else {
                all.entry(if partitions > 1 { otherwise } else { 0 }).or_default().push(batch);
                continue;
            };
            let mut places: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            let options = FormatOptions::default();
            let texts = ArrayFormatter::try_new(key.as_ref(), &options).map_err(not_arrow)?;
            for row in 0..batch.num_rows() {
                let text = texts.value(row).try_to_string().map_err(not_arrow)?;
                let at = u32::try_from(row).map_err(not_arrow)?;
                places.entry(partition_of(text.as_bytes(), partitions)).or_default().push(at);
            }
            for (partition, rows) in places {
                let rows = take_record_batch(&batch, &UInt32Array::from(rows)).map_err(not_arrow)?;
                all.entry(partition).or_default().push(rows);
            }
        }
        Ok(all)
    }
}

/// The rows of a stream.
pub(super) fn read(body: &Bytes, rules: &EventRules) -> Result<EventRows, IntakeError> {
    refuse_compressed(body)?;
    let reader = StreamReader::try_new(Cursor::new(body), None).map_err(not_arrow)?;
    let schema = reader.schema();
    if schema.fields().is_empty() {
        return Err(IntakeError::NotArrow { reason: "it has no columns".into() });
    }
    let key = match &rules.key {
        None => None,
        Some(name) => Some(schema.index_of(name).map_err(|_| no_key(name, 0))?),
    };
    let (mut batches, mut count) = (Vec::new(), 0_usize);
    for batch in reader {
        let batch = batch.map_err(not_arrow)?;
        let before = count;
        count = count.saturating_add(batch.num_rows());
        if count > rules.events_max {
            return Err(IntakeError::TooMany { most: rules.events_max });
        }
        if let (Some(name), Some(column)) = (&rules.key, key.and_then(|at| batch.columns().get(at))) {
            refuse_nulls(name, column, before)?;
        }
        batches.push(batch);
    }
    Ok(EventRows { batches, key })
}

/// The error of a schema without the key.
fn no_key(name: &str, index: u64) -> IntakeError {
    let reason = format!("it has no value for its key `{name}`");
    IntakeError::NoEvents { count: 1, faults: vec![EventFault { index, offset: None, reason }] }
}

fn refuse_nulls(name: &str, column: &ArrayRef, before: usize) -> Result<(), IntakeError> {
    let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(()) };
    let rows = (0..column.len()).filter(|row| nulls.is_null(*row)).take(FAULTS_MAX);
    let fault = |row: usize| EventFault {
        index: (before + row) as u64,
        offset: None,
        reason: format!("it has no value for its key `{name}`"),
    };
    Err(IntakeError::NoEvents { count: nulls.null_count() as u64, faults: rows.map(fault).collect() })
}

/// Goes through the messages of the stream, and refuses those whose buffers are compressed: what a buffer says that it becomes
/// would be believed before it is seen.
fn refuse_compressed(body: &Bytes) -> Result<(), IntakeError> {
    let cut = || IntakeError::NotArrow { reason: "it ends in the middle of a message".into() };
    let mut rest: &[u8] = body;
    while !rest.is_empty() {
        let marked = rest.strip_prefix(&CONTINUATION).unwrap_or(rest);
        let (length, behind) = marked.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| cut())?;
        if length == 0 {
            return Ok(());
        }
        let (metadata, behind) = behind.split_at_checked(length).ok_or_else(cut)?;
        // It is read where it is aligned, which it need not be in the body.
        let metadata = metadata.to_vec();
        let message = root_as_message(&metadata).map_err(not_arrow)?;
        let batch = match message.header_type() {
            MessageHeader::DictionaryBatch => {
                message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data())
            }
            _ => message.header_as_record_batch(),
        };
        if batch.is_some_and(|batch| batch.compression().is_some()) {
            return Err(IntakeError::NotArrow {
                reason: "its buffers are compressed; write it without, and compress the body with `Content-Encoding` instead".into(),
            });
        }
        let skipped = usize::try_from(message.bodyLength()).map_err(|_| cut())?;
        rest = behind.get(skipped..).ok_or_else(cut)?;
    }
    Ok(())
}

fn not_arrow(error: impl std::fmt::Display) -> IntakeError {
    IntakeError::NotArrow { reason: error.to_string() }
}
