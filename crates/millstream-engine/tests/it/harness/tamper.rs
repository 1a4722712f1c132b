//! Files of the lake whose rows are changed behind everybody's back: a row that got lost, a row that is there twice. The log, the
//! file's name and its size stay as they are, so that only the rows tell.

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};

/// The bytes behind the footer: its length, and the mark of the format.
const TAIL: usize = 8;

/// What happens to the rows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// The last row is gone.
    Loses,
    /// The last row is there twice.
    Doubles,
}

impl Tamper {
    /// The file with other rows, and as many bytes.
    pub(crate) fn apply(self, file: &Bytes) -> Bytes {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        let rows =
            concat_batches(batches.first().map_or(&schema, |batch| batch.schema_ref()), &batches).unwrap();
        let count = u32::try_from(rows.num_rows()).unwrap();
        let taken: Vec<u32> = match self {
            Self::Loses => (0..count - 1).collect(),
            Self::Doubles => (0..count).chain([count - 1]).collect(),
        };
        let rows = take_record_batch(&rows, &UInt32Array::from(taken)).unwrap();
        padded(&written(&rows), file.len())
    }
}

/// A file of the rows that is as small as can be.
fn written(rows: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_created_by(String::new())
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut file, rows.schema(), options).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    file
}

/// The file with nothing between its pages and its footer until it has so many bytes.
fn padded(file: &[u8], bytes: usize) -> Bytes {
    assert!(file.len() <= bytes, "{} bytes do not fit into {bytes}", file.len());
    let tail = file.len() - TAIL;
    let footer = u32::from_le_bytes(file[tail..tail + 4].try_into().unwrap());
    let pages = tail - usize::try_from(footer).unwrap();
    [&file[..pages], &vec![0; bytes - file.len()], &file[pages..]].concat().into()
}
