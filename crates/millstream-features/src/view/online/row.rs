//! One event's values as bytes: a bit for each null, numbers at fixed places, and what has no fixed length behind them.

use arrow::datatypes::DataType;

use crate::{
    FeatureError,
    aggregate::{Kind, Reader, Value, ValueRef, Writer},
};

/// How the rows of some columns are written and read.
#[derive(Debug, Clone)]
pub(super) struct RowCodec {
    fields: Vec<Field>,
    /// The number of bytes before the values of no fixed length.
    fixed: usize,
    /// Where the end of the last value of no fixed length stands.
    last_end: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    /// The number of the column in the view.
    column: usize,
    form: Form,
    /// Where the number, or the end of the value among those of no fixed length, stands.
    offset: usize,
    /// Where the end of the previous value of no fixed length stands; none for the first one.
    before: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A whole number, a date or a timestamp, in this many bytes.
    Int(usize),
    Single,
    Double,
    Decimal,
    Bool,
    Text,
    Bytes,
    /// A list, or a vector as a list.
    List,
}

impl Form {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 => Self::Int(1),
            DataType::Int16 => Self::Int(2),
            DataType::Int32 | DataType::Date32 => Self::Int(4),
            DataType::Float32 => Self::Single,
            DataType::List(items) | DataType::FixedSizeList(items, _) => {
                Self::of(items.data_type()).map(|_| Self::List)?
            }
            _ => match Kind::of(data_type)? {
                Kind::Int | Kind::Instant => Self::Int(8),
                Kind::Float => Self::Double,
                Kind::Decimal { .. } => Self::Decimal,
                Kind::Bool => Self::Bool,
                Kind::Text => Self::Text,
                Kind::Bytes => Self::Bytes,
                Kind::Vector | Kind::Nested => Self::List,
            },
        })
    }

    fn width(self) -> usize {
        match self {
            Self::Int(width) => width,
            Self::Bool => 1,
            Self::Single | Self::Text | Self::Bytes | Self::List => 4,
            Self::Double => 8,
            Self::Decimal => 16,
        }
    }

    fn is_fixed(self) -> bool {
        !matches!(self, Self::Text | Self::Bytes | Self::List)
    }
}

impl RowCodec {
    /// A codec for rows of `columns`, which are numbers of columns that have these `types`.
    ///
    /// # Errors
    ///
    /// The first type that has no stored form.
    pub(super) fn new(types: &[DataType], columns: &[usize]) -> Result<Self, DataType> {
        let mut offset = columns.len().div_ceil(8);
        let (mut fields, mut last_end) = (Vec::with_capacity(columns.len()), None);
        for column in columns {
            let data_type = types.get(*column).ok_or(DataType::Null)?;
            let form = Form::of(data_type).ok_or_else(|| data_type.clone())?;
            fields.push(Field { column: *column, form, offset, before: last_end });
            if !form.is_fixed() {
                last_end = Some(offset);
            }
            offset += form.width();
        }
        Ok(Self { fields, fixed: offset, last_end })
    }

    /// Where a column of the view stands in the row.
    pub(super) fn field(&self, column: usize) -> Option<usize> {
        self.fields.iter().position(|field| field.column == column)
    }

    /// Appends the row; `values` are those of all columns of the view.
    pub(super) fn write(&self, out: &mut Vec<u8>, values: &[ValueRef<'_>]) {
        let start = out.len();
        out.reserve(self.fixed);
        out.resize(start + self.fields.len().div_ceil(8), 0);
        let mut long = Vec::new();
        for (at, field) in self.fields.iter().enumerate() {
            let value = values.get(field.column).copied().unwrap_or(ValueRef::Null);
            if !field.write(out, &mut long, value)
                && let Some(nulls) = out.get_mut(start + at / 8)
            {
                *nulls |= 1 << (at % 8);
            }
        }
        out.extend_from_slice(&long);
    }

    /// Takes one row from the input.
    pub(super) fn split<'a>(&self, input: &mut Reader<'a>) -> Result<&'a [u8], FeatureError> {
        let Some(last_end) = self.last_end else { return input.raw(self.fixed) };
        let mut ahead = *input;
        let fixed = ahead.raw(self.fixed)?;
        input.raw(self.fixed.saturating_add(end_at(fixed, Some(last_end))))
    }

    /// One value of a row; `list` keeps it alive if it is a list.
    pub(super) fn value<'a>(
        &self,
        row: &'a [u8],
        field: usize,
        list: &'a mut Value,
    ) -> Result<ValueRef<'a>, FeatureError> {
        let Some(known) = self.fields.get(field) else { return Ok(ValueRef::Null) };
        if row.get(field / 8).is_none_or(|nulls| nulls >> (field % 8) & 1 == 1) {
            return Ok(ValueRef::Null);
        }
        if known.form.is_fixed() {
            return known.number(row);
        }
        let from = self.fixed.saturating_add(end_at(row, known.before));
        let until = self.fixed.saturating_add(end_at(row, Some(known.offset)));
        let bytes = row.get(from..until).ok_or_else(|| FeatureError::bytes("a row ends too early"))?;
        match known.form {
            Form::Text => {
                let text = std::str::from_utf8(bytes);
                Ok(ValueRef::Text(text.map_err(|_| FeatureError::bytes("a text is not UTF-8"))?))
            }
            Form::Bytes => Ok(ValueRef::Bytes(bytes)),
            _ => {
                *list = Reader::new(bytes).value()?;
                Ok(list.borrowed())
            }
        }
    }

    /// All values by number of the view's column; `lists` keeps those alive that are lists.
    pub(super) fn values<'a>(
        &self,
        row: &'a [u8],
        columns: usize,
        lists: &'a mut Vec<Value>,
    ) -> Result<Vec<ValueRef<'a>>, FeatureError> {
        lists.clear();
        lists.resize(self.fields.len(), Value::Null);
        let mut values = vec![ValueRef::Null; columns];
        for ((at, field), list) in self.fields.iter().enumerate().zip(lists) {
            if let Some(slot) = values.get_mut(field.column) {
                *slot = self.value(row, at, list)?;
            }
        }
        Ok(values)
    }
}

impl Field {
    /// Whether there was a value of the column's type; something of the field's width is written in any case.
    fn write(&self, out: &mut Vec<u8>, long: &mut Vec<u8>, value: ValueRef<'_>) -> bool {
        #[allow(clippy::cast_possible_truncation, reason = "a column of single floats holds no wider ones")]
        match (self.form, value) {
            (Form::Int(width), ValueRef::Int(value)) => {
                out.extend_from_slice(value.to_le_bytes().get(..width).unwrap_or(&[]));
            }
            (Form::Single, ValueRef::Float(value)) => out.extend_from_slice(&(value as f32).to_le_bytes()),
            (Form::Double, ValueRef::Float(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (Form::Decimal, ValueRef::Decimal(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (Form::Bool, ValueRef::Bool(value)) => out.push(u8::from(value)),
            (Form::Text | Form::Bytes | Form::List, value) => {
                let known = match (self.form, value) {
                    (Form::Text, ValueRef::Text(text)) => {
                        long.extend_from_slice(text.as_bytes());
                        true
                    }
                    (Form::Bytes, ValueRef::Bytes(bytes)) => {
                        long.extend_from_slice(bytes);
                        true
                    }
                    (Form::List, ValueRef::Vector(_) | ValueRef::List(_)) => {
                        let mut list = Writer::default();
                        list.value(&value.to_value());
                        long.extend_from_slice(&list.bytes);
                        true
                    }
                    _ => false,
                };
                out.extend_from_slice(&u32::try_from(long.len()).unwrap_or(u32::MAX).to_le_bytes());
                return known;
            }
            _ => {
                out.resize(out.len() + self.form.width(), 0);
                return false;
            }
        }
        true
    }

    fn number<'a>(&self, row: &[u8]) -> Result<ValueRef<'a>, FeatureError> {
        let rest = row.get(self.offset..).unwrap_or(&[]);
        let mut input = Reader::new(rest);
        Ok(match self.form {
            Form::Int(1) => ValueRef::Int(i64::from(i8::from_le_bytes(input.array()?))),
            Form::Int(2) => ValueRef::Int(i64::from(i16::from_le_bytes(input.array()?))),
            Form::Int(4) => ValueRef::Int(i64::from(i32::from_le_bytes(input.array()?))),
            Form::Int(_) => ValueRef::Int(i64::from_le_bytes(input.array()?)),
            Form::Single => ValueRef::Float(f64::from(f32::from_le_bytes(input.array()?))),
            Form::Double => ValueRef::Float(input.float()?),
            Form::Decimal => ValueRef::Decimal(i128::from_le_bytes(input.array()?)),
            Form::Bool => ValueRef::Bool(input.byte()? != 0),
            Form::Text | Form::Bytes | Form::List => ValueRef::Null,
        })
    }
}

/// The end that stands at `offset`; 0 when there is nothing before.
fn end_at(row: &[u8], offset: Option<usize>) -> usize {
    let stored = offset.and_then(|offset| row.get(offset..)).and_then(|rest| rest.first_chunk::<4>());
    stored.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}
