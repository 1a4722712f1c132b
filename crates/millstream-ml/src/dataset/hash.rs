//! Hashes of files, and hashes of values that stay the same: across versions, platforms, and the types that can hold a
//! value.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::DataType,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::DatasetError;

/// The byte after each value that is not null, so that neighbouring texts cannot be confused.
const END: u8 = 0xff;
/// The byte that stands for a null; no text in UTF-8 contains it.
const NULL: u8 = 0xfe;

/// BLAKE3 of a file's bytes, in 64 hexadecimal digits.
///
/// # Errors
///
/// The file cannot be read.
pub fn file_blake3(path: &Path) -> io::Result<String> {
    blake3_of(&mut File::open(path)?)
}

/// BLAKE3 of all that is left to read, in 64 hexadecimal digits.
pub(crate) fn blake3_of(bytes: &mut impl Read) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(bytes, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A hash of each row's values, read as text: 7 is the same in a column of any integer type.
pub(crate) fn hash_rows(columns: &[ArrayRef], rows: usize, seed: u64) -> Result<Vec<u64>, DatasetError> {
    let texts: Vec<ArrayRef> = columns.iter().map(as_text).collect::<Result<_, _>>()?;
    let texts: Vec<_> = texts.iter().map(|text| text.as_string::<i32>()).collect();
    let mut row_bytes = Vec::new();
    let hash = |row: usize| {
        row_bytes.clear();
        for text in &texts {
            if text.is_null(row) {
                row_bytes.push(NULL);
            } else {
                row_bytes.extend_from_slice(text.value(row).as_bytes());
                row_bytes.push(END);
            }
        }
        xxh3_64_with_seed(&row_bytes, seed)
    };
    Ok((0..rows).map(hash).collect())
}

/// The values as text; times and dates as their number, which no change of a text format can touch.
fn as_text(column: &ArrayRef) -> Result<ArrayRef, DatasetError> {
    let number = match column.data_type() {
        DataType::Timestamp(..) | DataType::Time64(_) | DataType::Date64 => Some(DataType::Int64),
        DataType::Date32 | DataType::Time32(_) => Some(DataType::Int32),
        _ => None,
    };
    let failed = DatasetError::arrow("read keys as text");
    match number {
        Some(number) => cast(column, &number).and_then(|column| cast(&column, &DataType::Utf8)),
        None => cast(column, &DataType::Utf8),
    }
    .map_err(failed)
}

/// A number from 0 up to but not 1, the same for the same row and seed.
pub(crate) fn chance(row: u64, seed: u64) -> f64 {
    fraction(xxh3_64_with_seed(&row.to_le_bytes(), seed))
}

/// A hash as a number from 0 up to but not 1.
#[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
pub(crate) fn fraction(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}
