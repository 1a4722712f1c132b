//! Protocol buffers, as far as OTLP needs them: the fields of a message, one after the other, and two small messages to answer with.

use super::model::Malformed;

/// The value of a field, by the way in which it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Value<'a> {
    /// The bytes of a text, bytes or a message inside.
    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed("a field has another type")) }
    }

    pub(super) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text is no UTF-8"))
    }

    /// A number that is written as a varint or with a fixed size.
    pub(super) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) | Self::Fixed64(number) => Ok(number),
            Self::Fixed32(number) => Ok(number.into()),
            Self::Bytes(_) => Err(Malformed("a field has another type")),
        }
    }

    /// A whole number with a sign, as `int32` and `int64` are written.
    pub(super) fn signed(self) -> Result<i64, Malformed> {
        self.number().map(u64::cast_signed)
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CUT)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed("a number is too long"))
    }

    fn fixed<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<SIZE>().ok_or(CUT)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| CUT)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err(Malformed("a field has a type that there is none of")),
        };
        Ok((tag >> 3, value))
    }
}

const CUT: Malformed = Malformed("it ends in the middle of a field");

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Appends a number, unless it is 0, which is what a field has that is not there.
pub(super) fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    if number > 0 {
        put_varint(out, field << 3);
        put_varint(out, number);
    }
}

/// Appends bytes, a text or a message.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(0x80 | (number & 0x7f).to_le_bytes()[0]);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
