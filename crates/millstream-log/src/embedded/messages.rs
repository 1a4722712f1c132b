//! The body of a batch of messages: one after the other, numbers in LEB128, as Kafka's records do.
//!
//! A message is: its timestamp relative to the batch's (zigzag, where the batch has them), key, value, the number of headers, and for
//! each its name and value. Bytes are preceded by their length and one, or by 0 for none.

use bytes::Bytes;
use millstream_types::TimestampMicros;

use super::batch::{BatchHeader, BodyKind};
use crate::{Header, Message};

/// The bytes that a length takes at most.
const LENGTH_BYTES: usize = 10;

/// The bytes of the messages, with timestamps relative to `base` where there is one.
pub(super) fn encode(messages: &[Message], base: Option<(i64, i64)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(messages.iter().map(size).sum());
    for message in messages {
        if let Some((base, otherwise)) = base {
            let timestamp = message.timestamp.map_or(otherwise, |timestamp| timestamp.0);
            put_number(&mut out, zigzag(timestamp.wrapping_sub(base)));
        }
        put_bytes(&mut out, message.key.as_deref());
        put_bytes(&mut out, message.value.as_deref());
        put_number(&mut out, message.headers.len() as u64);
        for header in &message.headers {
            put_bytes(&mut out, Some(header.name.as_bytes()));
            put_bytes(&mut out, header.value.as_deref());
        }
    }
    out
}

/// About the bytes of an encoded message; never less.
fn size(message: &Message) -> usize {
    let of = |bytes: &Option<Bytes>| LENGTH_BYTES + bytes.as_ref().map_or(0, Bytes::len);
    let headers = message.headers.iter().map(|header| LENGTH_BYTES + header.name.len() + of(&header.value));
    2 * LENGTH_BYTES + of(&message.key) + of(&message.value) + headers.sum::<usize>()
}

/// The messages of a body, which share its memory; `None` where the bytes are not those of as many messages.
pub(super) fn decode(header: &BatchHeader, body: &Bytes) -> Option<Vec<Message>> {
    let mut from = Cursor { body, place: 0 };
    let count = usize::try_from(header.records).ok()?;
    let mut messages = Vec::with_capacity(count.min(body.len()));
    for _ in 0..count {
        let timestamp = match header.kind {
            BodyKind::StampedMessages => header.timestamp.wrapping_add(unzigzag(from.number()?)),
            BodyKind::Messages | BodyKind::Rows => header.timestamp,
        };
        let (key, value) = (from.bytes()?, from.bytes()?);
        let headers = (0..from.number()?).map(|_| {
            let name = String::from_utf8(from.bytes()??.to_vec()).ok()?;
            Some(Header { name, value: from.bytes()? })
        });
        let headers = headers.collect::<Option<Vec<_>>>()?;
        messages.push(Message { key, value, headers, timestamp: Some(TimestampMicros(timestamp)) });
    }
    (from.place == body.len()).then_some(messages)
}

struct Cursor<'a> {
    body: &'a Bytes,
    place: usize,
}

impl Cursor<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.body.get(self.place)?;
            self.place += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The next bytes, which may be none; the outer `None` where the body is too short.
    fn bytes(&mut self) -> Option<Option<Bytes>> {
        let Some(length) = self.number()?.checked_sub(1) else { return Some(None) };
        let end = self.place.checked_add(usize::try_from(length).ok()?)?;
        if end > self.body.len() {
            return None;
        }
        let bytes = self.body.slice(self.place..end);
        self.place = end;
        Some(Some(bytes))
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(0x80 | (number & 0x7f).to_le_bytes()[0]);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            put_number(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}
