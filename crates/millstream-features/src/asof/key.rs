//! Keys of any scalar types to dense ordinals.
//!
//! One column of at most 64 bits is its own code; text and bytes are looked up as they are; everything else goes through
//! Arrow's row format, which keeps columns apart. Hashes only narrow the search: equality is of the full key.

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray},
    buffer::NullBuffer,
    compute::{cast, kernels::arity::unary},
    datatypes::{DataType, Float32Type, Float64Type},
    error::ArrowError,
    row::{RowConverter, Rows, SortField},
};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::{hash::BuildHasher, sync::Arc};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    column::check_length,
    error::{AsofError, Side},
};
use crate::timeline::NO_ENTITY;

/// The ordinal of a row that has no key, and of a key that the view does not have.
pub(super) const NO_KEY: u32 = NO_ENTITY;
/// Rows that are encoded at once, which bounds the memory of their encoded form.
const ROWS_AT_ONCE: usize = 16_384;

/// A key column of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    /// The column's type, which must not be nested; its encoding does not matter.
    pub data_type: DataType,
}

/// How key columns become codes that can be compared.
#[derive(Debug)]
pub(super) struct Codec {
    keys: Vec<KeyColumn>,
    /// The types that codes are made from.
    physical: Vec<DataType>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Word,
    Bytes,
    Rows(RowConverter),
}

/// The keys of some rows.
enum Codes {
    Words(Vec<u64>),
    Bytes(BinaryArray),
    Rows(Rows),
}

impl Codec {
    pub(super) fn new(keys: &[KeyColumn]) -> Result<Self, AsofError> {
        let physical = |key: &KeyColumn| {
            let not_scalar =
                || AsofError::KeyNotScalar { key: key.name.clone(), found: key.data_type.clone() };
            logical(&key.data_type).map(physical).ok_or_else(not_scalar)
        };
        let physical: Vec<_> = keys.iter().map(physical).collect::<Result<_, _>>()?;
        let form = match physical.as_slice() {
            [] => return Err(AsofError::NoKey),
            [DataType::Binary] => Form::Bytes,
            [only] if *only == DataType::Boolean || matches!(only.primitive_width(), Some(1 | 2 | 4 | 8)) => {
                Form::Word
            }
            several => {
                let fields = several.iter().cloned().map(SortField::new).collect();
                Form::Rows(RowConverter::new(fields).map_err(failed)?)
            }
        };
        Ok(Self { keys: keys.to_vec(), physical, form })
    }

    /// The columns as the codes need them, and the rows that have no key.
    fn columns(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        side: Side,
    ) -> Result<(Vec<ArrayRef>, Option<NullBuffer>), AsofError> {
        let (expected, found) = (self.keys.len(), columns.len());
        if expected != found {
            return Err(AsofError::KeyCount { side, expected, found });
        }
        let mut nulls = None;
        let mut plain = Vec::with_capacity(columns.len());
        for ((key, physical), column) in self.keys.iter().zip(&self.physical).zip(columns) {
            check_length(column, rows, "key", side)?;
            if logical(column.data_type()) != logical(&key.data_type) {
                let (expected, found) = (key.data_type.clone(), column.data_type().clone());
                return Err(AsofError::KeyType { key: key.name.clone(), side, expected, found });
            }
            nulls = NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref());
            let column = if column.data_type() == physical {
                column.clone()
            } else {
                cast(column, physical).map_err(failed)?
            };
            plain.push(one_zero(&column));
        }
        Ok((plain, nulls))
    }

    fn codes(&self, columns: &[ArrayRef]) -> Result<Codes, AsofError> {
        Ok(match (&self.form, columns) {
            (Form::Word, [column]) => Codes::Words(words(column)),
            (Form::Bytes, [column]) => Codes::Bytes(column.as_binary::<i32>().clone()),
            (Form::Rows(converter), columns) => {
                Codes::Rows(converter.convert_columns(columns).map_err(failed)?)
            }
            (_, columns) => {
                return Err(AsofError::KeyCount {
                    side: Side::View,
                    expected: self.keys.len(),
                    found: columns.len(),
                });
            }
        })
    }

    /// Calls `visit` with the codes of some rows after the other, and their part of the nulls.
    fn encode(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        side: Side,
        mut visit: impl FnMut(&Codes, Option<&NullBuffer>),
    ) -> Result<(), AsofError> {
        let (columns, nulls) = self.columns(columns, rows, side)?;
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let mut start = 0;
        while start < rows {
            let length = ROWS_AT_ONCE.min(rows - start);
            let part: Vec<_> = columns.iter().map(|column| column.slice(start, length)).collect();
            let nulls = nulls.as_ref().map(|nulls| nulls.slice(start, length));
            visit(&self.codes(&part)?, nulls.as_ref());
            start += length;
        }
        Ok(())
    }
}

/// The distinct keys of a view, each with an ordinal in the order of first appearance.
#[derive(Debug)]
pub(super) struct KeyIndex {
    codec: Codec,
    hasher: DefaultHashBuilder,
    /// The code or the hash of each key, and the key's ordinal.
    table: HashTable<(u64, u32)>,
    /// The codes of keys that are no words, one behind the other.
    arena: Vec<u8>,
    ends: Vec<usize>,
    keys: u32,
}

impl KeyIndex {
    pub(super) fn new(keys: &[KeyColumn]) -> Result<Self, AsofError> {
        Ok(Self {
            codec: Codec::new(keys)?,
            hasher: DefaultHashBuilder::default(),
            table: HashTable::new(),
            arena: Vec::new(),
            ends: vec![0],
            keys: 0,
        })
    }

    /// How many distinct keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys as usize
    }

    /// Appends the ordinal of each row; new keys get new ordinals.
    pub(super) fn intern(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        ordinals: &mut Vec<u32>,
    ) -> Result<(), AsofError> {
        let Self { codec, hasher, table, arena, ends, keys } = self;
        codec.encode(columns, rows, Side::View, |codes, nulls| match codes {
            Codes::Words(words) => {
                let intern = |word: u64| {
                    let hash = hasher.hash_one(word);
                    let entry =
                        table.entry(hash, |(known, _)| *known == word, |(word, _)| hasher.hash_one(word));
                    entry.or_insert_with(|| (word, next(keys))).get().1
                };
                each_word(words, nulls, ordinals, intern);
            }
            Codes::Bytes(_) | Codes::Rows(_) => {
                let intern = |code: &[u8]| {
                    let hash = xxh3_64(code);
                    let is_equal = |(known, ordinal): &(u64, u32)| {
                        *known == hash && code_of(arena, ends, *ordinal) == code
                    };
                    let found = table.find(hash, is_equal).map(|(_, ordinal)| *ordinal);
                    found.unwrap_or_else(|| {
                        let ordinal = next(keys);
                        arena.extend_from_slice(code);
                        ends.push(arena.len());
                        table.insert_unique(hash, (hash, ordinal), |(hash, _)| *hash);
                        ordinal
                    })
                };
                each_code(codes, nulls, ordinals, intern);
            }
        })
    }

    /// Appends the ordinal of each row, [`NO_KEY`] where the view has no such key.
    pub(super) fn find(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        ordinals: &mut Vec<u32>,
    ) -> Result<(), AsofError> {
        self.codec.encode(columns, rows, Side::Labels, |codes, nulls| match codes {
            Codes::Words(words) => each_word(words, nulls, ordinals, |word| {
                let found = self.table.find(self.hasher.hash_one(word), |(known, _)| *known == word);
                found.map_or(NO_KEY, |(_, ordinal)| *ordinal)
            }),
            Codes::Bytes(_) | Codes::Rows(_) => each_code(codes, nulls, ordinals, |code| {
                let hash = xxh3_64(code);
                let is_equal = |(known, ordinal): &(u64, u32)| {
                    *known == hash && code_of(&self.arena, &self.ends, *ordinal) == code
                };
                self.table.find(hash, is_equal).map_or(NO_KEY, |(_, ordinal)| *ordinal)
            }),
        })
    }
}

/// Which of `count` parts each row belongs to, so that equal keys of labels and view are in one part. Rows without a
/// key are in part 0. The same everywhere and always.
pub fn partitions(
    keys: &[KeyColumn],
    columns: &[ArrayRef],
    rows: usize,
    count: u32,
) -> Result<Vec<u32>, AsofError> {
    let codec = Codec::new(keys)?;
    let count = u64::from(count.max(1));
    let part = |hash: u64| u32::try_from(hash % count).unwrap_or_default();
    let mut parts = Vec::with_capacity(rows);
    codec.encode(columns, rows, Side::Labels, |codes, nulls| match codes {
        Codes::Words(words) => each_word(words, nulls, &mut parts, |word| part(xxh3_64(&word.to_le_bytes()))),
        Codes::Bytes(_) | Codes::Rows(_) => each_code(codes, nulls, &mut parts, |code| part(xxh3_64(code))),
    })?;
    parts.iter_mut().filter(|part| **part == NO_KEY).for_each(|part| *part = 0);
    Ok(parts)
}

fn next(keys: &mut u32) -> u32 {
    let ordinal = *keys;
    *keys += 1;
    ordinal
}

fn code_of<'a>(arena: &'a [u8], ends: &[usize], ordinal: u32) -> &'a [u8] {
    let at = ordinal as usize;
    match (ends.get(at), ends.get(at + 1)) {
        (Some(start), Some(end)) => arena.get(*start..*end).unwrap_or_default(),
        _ => &[],
    }
}

fn each_word(
    words: &[u64],
    nulls: Option<&NullBuffer>,
    ordinals: &mut Vec<u32>,
    mut ordinal: impl FnMut(u64) -> u32,
) {
    match nulls {
        None => ordinals.extend(words.iter().map(|word| ordinal(*word))),
        Some(nulls) => {
            let each = words.iter().zip(nulls);
            ordinals.extend(each.map(|(word, is_valid)| if is_valid { ordinal(*word) } else { NO_KEY }));
        }
    }
}

fn each_code(
    codes: &Codes,
    nulls: Option<&NullBuffer>,
    ordinals: &mut Vec<u32>,
    mut ordinal: impl FnMut(&[u8]) -> u32,
) {
    let is_null = |row| nulls.is_some_and(|nulls| nulls.is_null(row));
    match codes {
        Codes::Words(_) => {}
        Codes::Bytes(array) => ordinals.extend(
            (0..array.len()).map(|row| if is_null(row) { NO_KEY } else { ordinal(array.value(row)) }),
        ),
        Codes::Rows(rows) => ordinals.extend(
            rows.iter().enumerate().map(
                |(row, code)| {
                    if is_null(row) { NO_KEY } else { ordinal(code.as_ref()) }
                },
            ),
        ),
    }
}

/// The bits of each value of a column of at most 64 bits.
fn words(column: &ArrayRef) -> Vec<u64> {
    if let Some(booleans) = column.as_boolean_opt() {
        return booleans.values().iter().map(u64::from).collect();
    }
    let (data, rows) = (column.to_data(), column.len());
    match column.data_type().primitive_width() {
        Some(1) => data.buffer::<u8>(0).iter().take(rows).map(|bits| u64::from(*bits)).collect(),
        Some(2) => data.buffer::<u16>(0).iter().take(rows).map(|bits| u64::from(*bits)).collect(),
        Some(4) => data.buffer::<u32>(0).iter().take(rows).map(|bits| u64::from(*bits)).collect(),
        _ => data.buffer::<u64>(0).iter().take(rows).copied().collect(),
    }
}

/// The type without its encoding; `None` for types that are no scalars.
fn logical(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(_, values) => logical(values),
        DataType::RunEndEncoded(_, values) => logical(values.data_type()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Some(DataType::Binary),
        DataType::Timestamp(unit, _) => Some(DataType::Timestamp(*unit, None)),
        DataType::Boolean | DataType::FixedSizeBinary(_) => Some(data_type.clone()),
        plain if plain.is_primitive() => Some(plain.clone()),
        _ => None,
    }
}

/// What a scalar type is cast to before its bytes are compared.
fn physical(logical: DataType) -> DataType {
    match logical {
        DataType::Utf8 | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        other => other,
    }
}

/// Floats with one zero and one NaN, so that bits are equal when values are.
fn one_zero(column: &ArrayRef) -> ArrayRef {
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        let plain = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
        return Arc::new(unary::<_, _, Float64Type>(floats, plain));
    }
    if let Some(floats) = column.as_primitive_opt::<Float32Type>() {
        let plain = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
        return Arc::new(unary::<_, _, Float32Type>(floats, plain));
    }
    column.clone()
}

fn failed(source: ArrowError) -> AsofError {
    AsofError::Arrow { what: "keys", source }
}
