//! How states are written down: little-endian, whole numbers as variable-length integers, nothing that could
//! depend on the machine. Reading never trusts a length further than the bytes that are there.

use super::{
    column::DEPTH_MAX,
    value::{Order, Value},
};
use crate::FeatureError;

/// Collects the bytes of a state.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        self.variable(u128::from(value));
    }

    pub(crate) fn signed(&mut self, value: i128) {
        self.variable(((value << 1) ^ (value >> 127)).cast_unsigned());
    }

    fn variable(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push((value & 0x7f) as u8);
    }

    pub(crate) fn block(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.raw(bytes);
    }

    pub(crate) fn order(&mut self, order: Order) {
        for part in [order.event, order.known, order.sequence] {
            self.signed(i128::from(part));
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(0),
            Value::Int(value) => {
                self.byte(1);
                self.signed(i128::from(*value));
            }
            Value::Float(value) => {
                self.byte(2);
                self.float(*value);
            }
            Value::Decimal(value) => {
                self.byte(3);
                self.signed(*value);
            }
            Value::Bool(value) => {
                self.byte(4);
                self.flag(*value);
            }
            Value::Text(text) => {
                self.byte(5);
                self.block(text.as_bytes());
            }
            Value::Bytes(bytes) => {
                self.byte(6);
                self.block(bytes);
            }
            Value::List(values) => {
                self.byte(7);
                self.unsigned(values.len() as u64);
                values.iter().for_each(|value| self.value(value));
            }
        }
    }
}

/// Reads what [`Writer`] wrote.
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

    pub(crate) fn raw(&mut self, count: usize) -> Result<&'a [u8], FeatureError> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| FeatureError::bytes("they end too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FeatureError> {
        let (taken, rest) =
            self.bytes.split_first_chunk().ok_or_else(|| FeatureError::bytes("they end too early"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FeatureError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, FeatureError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FeatureError::bytes("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn float(&mut self) -> Result<f64, FeatureError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, FeatureError> {
        // Most numbers are one byte.
        if let [byte, rest @ ..] = self.bytes
            && *byte < 0x80
        {
            self.bytes = rest;
            return Ok(u64::from(*byte));
        }
        u64::try_from(self.variable()?).map_err(|_| FeatureError::bytes("a number is too large"))
    }

    pub(crate) fn signed(&mut self) -> Result<i128, FeatureError> {
        let bits = self.variable()?;
        Ok((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()))
    }

    pub(crate) fn long(&mut self) -> Result<i64, FeatureError> {
        i64::try_from(self.signed()?).map_err(|_| FeatureError::bytes("a number is too large"))
    }

    fn variable(&mut self) -> Result<u128, FeatureError> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FeatureError::bytes("a number is too long"))
    }

    /// A number of items of at least `size` bytes each, which the rest can hold.
    pub(crate) fn count(&mut self, size: usize) -> Result<usize, FeatureError> {
        let count = usize::try_from(self.unsigned()?).unwrap_or(usize::MAX);
        if count.saturating_mul(size.max(1)) > self.bytes.len() {
            return Err(FeatureError::bytes("a list is longer than the bytes"));
        }
        Ok(count)
    }

    pub(crate) fn block(&mut self) -> Result<&'a [u8], FeatureError> {
        let count = self.count(1)?;
        self.raw(count)
    }

    pub(crate) fn order(&mut self) -> Result<Order, FeatureError> {
        Ok(Order { event: self.long()?, known: self.long()?, sequence: self.long()? })
    }

    pub(crate) fn value(&mut self) -> Result<Value, FeatureError> {
        // A list of as deeply nested values as are kept.
        self.nested_value(DEPTH_MAX + 1)
    }

    fn nested_value(&mut self, depth: u8) -> Result<Value, FeatureError> {
        Ok(match self.byte()? {
            0 => Value::Null,
            1 => Value::Int(self.long()?),
            2 => Value::Float(self.float()?),
            3 => Value::Decimal(self.signed()?),
            4 => Value::Bool(self.flag()?),
            5 => {
                let text = std::str::from_utf8(self.block()?);
                Value::Text(text.map_err(|_| FeatureError::bytes("a text is not UTF-8"))?.into())
            }
            6 => Value::Bytes(self.block()?.into()),
            7 if depth > 0 => {
                let count = self.count(1)?;
                let values: Result<_, _> = (0..count).map(|_| self.nested_value(depth - 1)).collect();
                Value::List(values?)
            }
            _ => return Err(FeatureError::bytes("a value has an unknown type")),
        })
    }
}
