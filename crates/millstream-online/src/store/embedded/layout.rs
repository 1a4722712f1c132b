//! How the embedded store lays out its keys.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `r` + the space's number, 16 hex digits | entity | record |
//! | `marks` | space (8 bytes), name | value |
//! | `logs` | length of the name (2 bytes), name, position (8 bytes) | entry |
//! | `facts` | `format` | [`FORMAT`] |
//! | | `position/` + log | last position given to an entry |
//! | | `number/` + log | numbers up to this may have been given to callers |
//! | | `keyspace/` + name | empty; a keyspace that has to be there |
//! | | `dropping/` + space (8 bytes) | empty; a space that is being dropped |
//!
//! Numbers are big-endian, so that keys sort like what they stand for. Damage is found by the checksums that fjall
//! keeps for every block and every batch of its journal.

/// Version of this layout.
pub(super) const FORMAT: u8 = 1;

pub(super) const MARKS: &str = "marks";
pub(super) const LOGS: &str = "logs";
pub(super) const FACTS: &str = "facts";

pub(super) const FORMAT_FACT: &[u8] = b"format";
pub(super) const POSITION_FACT: &str = "position/";
pub(super) const NUMBER_FACT: &str = "number/";
const KEYSPACE_FACT: &[u8] = b"keyspace/";
const DROPPING_FACT: &[u8] = b"dropping/";

/// The keyspace of a space's records.
pub(super) fn space_name(space: u64) -> String {
    format!("r{space:016x}")
}

/// The space whose records a keyspace holds; none for the others.
pub(super) fn space_of(keyspace: &str) -> Option<u64> {
    let digits = keyspace.strip_prefix('r')?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

pub(super) fn mark_key(space: u64, name: &str) -> Vec<u8> {
    [&space.to_be_bytes(), name.as_bytes()].concat()
}

/// What all entries of a log begin with.
pub(super) fn log_prefix(log: &str) -> Vec<u8> {
    // Names are checked to be far shorter.
    let length = u16::try_from(log.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), log.as_bytes()].concat()
}

pub(super) fn log_key(log: &str, position: u64) -> Vec<u8> {
    let mut key = log_prefix(log);
    key.extend(position.to_be_bytes());
    key
}

/// The position of an entry; none if the key is none of an entry.
pub(super) fn log_position(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn fact_key(kind: &str, log: &str) -> Vec<u8> {
    [kind.as_bytes(), log.as_bytes()].concat()
}

pub(super) fn keyspace_key(name: &str) -> Vec<u8> {
    [KEYSPACE_FACT, name.as_bytes()].concat()
}

pub(super) fn keyspace_prefix() -> &'static [u8] {
    KEYSPACE_FACT
}

/// The keyspace of a key made by [`keyspace_key`].
pub(super) fn keyspace_of(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(KEYSPACE_FACT)
}

pub(super) fn dropping_key(space: u64) -> Vec<u8> {
    [DROPPING_FACT, &space.to_be_bytes()].concat()
}

pub(super) fn dropping_prefix() -> &'static [u8] {
    DROPPING_FACT
}

/// The space of a key made by [`dropping_key`].
pub(super) fn dropping_space(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(DROPPING_FACT)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

/// A number kept as a value.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
