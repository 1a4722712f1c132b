//! How values of the state are written down: little-endian, blocks with their length before them. Reading never trusts a length
//! further than the bytes that are there.

use crate::StreamError;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i128(&mut self, value: i128) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn block(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn end(&self) -> Result<(), StreamError> {
        if self.is_empty() { Ok(()) } else { Err(StreamError::damaged("something follows a value")) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StreamError> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or(StreamError::Damaged { reason: "a value ends too early" })?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StreamError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StreamError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StreamError::damaged("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, StreamError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StreamError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, StreamError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i128(&mut self) -> Result<i128, StreamError> {
        Ok(i128::from_le_bytes(self.array()?))
    }

    pub(crate) fn block(&mut self) -> Result<&'a [u8], StreamError> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(StreamError::Damaged { reason: "a block is longer than its value" })?;
        self.bytes = rest;
        Ok(taken)
    }
}
