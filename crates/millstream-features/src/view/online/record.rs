//! The record of one entity as bytes.
//!
//! Version 1, numbers little-endian or of variable length as in states:
//!
//! | part | bytes |
//! |---|---|
//! | version | 1 |
//! | parts that follow | 1, a bit each |
//! | applied position: epoch, chunk | variable |
//! | mark | 8 |
//! | newest event before the mark: order, the columns that features want of it | if there is one |
//! | hops of the events before the mark | length, then as `window::hops` says |
//! | events from the mark on | count, length, then each |
//! | pushed events | count, length, then each |
//! | provisional events | the lake's newest event time (8), count, length, then each |
//! | check sum: low half of XXH3 of all before | 4 |
//!
//! An event is the sequence of its push (0 if none), its order and its row.

use xxhash_rust::xxh3::xxh3_64;

use super::row::RowCodec;
use crate::{
    FeatureError,
    aggregate::{Order, Reader, Writer},
};

/// Version of the bytes of a record; the first byte of each.
pub const RECORD_VERSION: u8 = 1;

const HAS_NEWEST: u8 = 1;
const HAS_HOPS: u8 = 2;
const HAS_RECENT: u8 = 4;
const HAS_PUSHED: u8 = 8;
const HAS_PROVISIONAL: u8 = 16;

/// How far the lake's events have been applied to a record, so that no chunk is applied twice. Positions ascend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    pub epoch: u64,
    pub chunk: u64,
}

/// A record that is read in place, from its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) applied: Position,
    /// The mark in microseconds: events before it are in `newest` and in the hops, others in `recent`.
    pub(super) mark: i64,
    pub(super) newest: Option<(Order, &'a [u8])>,
    pub(super) hops: &'a [u8],
    pub(super) recent: Events<'a>,
    pub(super) pushed: Events<'a>,
    /// The event time in microseconds up to which windows do not see provisional events.
    pub(super) watermark: i64,
    pub(super) provisional: Events<'a>,
}

/// Events one behind the other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Events<'a> {
    pub(super) count: usize,
    bytes: &'a [u8],
}

/// An event that the record keeps one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    /// The sequence of the push that brought the event, 0 if none did.
    pub(super) push: u64,
    pub(super) order: Order,
    pub(super) row: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record of an entity for which nothing is stored.
    pub(super) const EMPTY: Self = Self {
        applied: Position { epoch: 0, chunk: 0 },
        mark: i64::MIN,
        newest: None,
        hops: &[],
        recent: Events { count: 0, bytes: &[] },
        pushed: Events { count: 0, bytes: &[] },
        watermark: i64::MIN,
        provisional: Events { count: 0, bytes: &[] },
    };

    pub(super) fn read(bytes: &'a [u8], newest: &RowCodec) -> Result<Self, FeatureError> {
        let (body, sum) =
            bytes.split_last_chunk().ok_or_else(|| FeatureError::bytes("they end too early"))?;
        let mut input = Reader::new(body);
        if input.byte()? != RECORD_VERSION {
            return Err(FeatureError::bytes("the version is unknown"));
        }
        if check_sum(body) != *sum {
            return Err(FeatureError::bytes("the check sum is another"));
        }
        let parts = input.byte()?;
        let has = |part: u8| parts & part != 0;
        let mut record = Self { applied: position(&mut input)?, ..Self::EMPTY };
        record.mark = i64::from_le_bytes(input.array()?);
        if has(HAS_NEWEST) {
            record.newest = Some((order(&mut input)?, newest.split(&mut input)?));
        }
        if has(HAS_HOPS) {
            record.hops = input.block()?;
        }
        if has(HAS_RECENT) {
            record.recent = Events::read(&mut input)?;
        }
        if has(HAS_PUSHED) {
            record.pushed = Events::read(&mut input)?;
        }
        if has(HAS_PROVISIONAL) {
            record.watermark = i64::from_le_bytes(input.array()?);
            record.provisional = Events::read(&mut input)?;
        }
        if input.is_empty() { Ok(record) } else { Err(FeatureError::bytes("something follows the record")) }
    }
}

impl<'a> Events<'a> {
    fn read(input: &mut Reader<'a>) -> Result<Self, FeatureError> {
        let count = usize::try_from(input.unsigned()?).unwrap_or(usize::MAX);
        let bytes = input.block()?;
        if count > bytes.len() {
            return Err(FeatureError::bytes("there are fewer events than said"));
        }
        Ok(Self { count, bytes })
    }

    pub(super) fn iter(&self, codec: &RowCodec) -> impl Iterator<Item = Result<Event<'a>, FeatureError>> {
        let mut input = Reader::new(self.bytes);
        (0..self.count).map(move |_| {
            Ok(Event { push: input.unsigned()?, order: order(&mut input)?, row: codec.split(&mut input)? })
        })
    }
}

/// What a record is written from.
#[derive(Debug)]
pub(super) struct Parts<'a, E> {
    pub(super) applied: Position,
    pub(super) mark: i64,
    pub(super) newest: Option<(Order, &'a [u8])>,
    pub(super) hops: &'a [u8],
    pub(super) recent: E,
    pub(super) pushed: E,
    pub(super) watermark: i64,
    pub(super) provisional: E,
}

impl<'a, E: ExactSizeIterator<Item = Event<'a>>> Parts<'a, E> {
    pub(super) fn write(self) -> Vec<u8> {
        let part = |there: bool, part: u8| if there { part } else { 0 };
        let row = self.newest.map_or(0, |(_, row)| row.len());
        let mut out = Writer { bytes: Vec::with_capacity(64 + row + self.hops.len()) };
        out.byte(RECORD_VERSION);
        out.byte(
            part(self.newest.is_some(), HAS_NEWEST)
                | part(!self.hops.is_empty(), HAS_HOPS)
                | part(self.recent.len() > 0, HAS_RECENT)
                | part(self.pushed.len() > 0, HAS_PUSHED)
                | part(self.provisional.len() > 0, HAS_PROVISIONAL),
        );
        out.unsigned(self.applied.epoch);
        out.unsigned(self.applied.chunk);
        out.raw(&self.mark.to_le_bytes());
        if let Some((order, row)) = self.newest {
            write_order(&mut out, order);
            out.raw(row);
        }
        if !self.hops.is_empty() {
            out.block(self.hops);
        }
        write_events(&mut out, self.recent);
        write_events(&mut out, self.pushed);
        if self.provisional.len() > 0 {
            out.raw(&self.watermark.to_le_bytes());
            write_events(&mut out, self.provisional);
        }
        let sum = check_sum(&out.bytes);
        out.raw(&sum);
        out.bytes
    }
}

fn write_events<'a>(out: &mut Writer, events: impl ExactSizeIterator<Item = Event<'a>>) {
    if events.len() == 0 {
        return;
    }
    out.unsigned(events.len() as u64);
    let mut bytes = Writer::default();
    for event in events {
        bytes.unsigned(event.push);
        write_order(&mut bytes, event.order);
        bytes.raw(event.row);
    }
    out.block(&bytes.bytes);
}

fn check_sum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_le_bytes();
    [a, b, c, d]
}

fn position(input: &mut Reader<'_>) -> Result<Position, FeatureError> {
    Ok(Position { epoch: input.unsigned()?, chunk: input.unsigned()? })
}

/// The event time whole; the known time as its distance to it, which is mostly small.
fn write_order(out: &mut Writer, order: Order) {
    out.raw(&order.event.to_le_bytes());
    out.unsigned(folded(order.known.wrapping_sub(order.event)));
    out.unsigned(folded(order.sequence));
}

fn order(input: &mut Reader<'_>) -> Result<Order, FeatureError> {
    let event = i64::from_le_bytes(input.array()?);
    let known = unfolded(input.unsigned()?).wrapping_add(event);
    Ok(Order { event, known, sequence: unfolded(input.unsigned()?) })
}

/// Small numbers of either sign as small ones without.
fn folded(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unfolded(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
