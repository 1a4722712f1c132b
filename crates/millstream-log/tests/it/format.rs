//! What an earlier version wrote is read.

use std::{fs, path::Path, sync::Arc};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use millstream_log::{
    Append, Compression, EmbeddedLog, EventLog, Header, Message, Payload, Place, ReadBound, ReaderName,
    Sequenced, TimestampKind, TopicOptions,
};
use millstream_types::TimestampMicros;
use tempfile::TempDir;

use crate::place::{disk_options, message, topic};

/// A log of format 1, as it was written by [`write_sample`].
fn sample() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/samples/format_1")
}

fn rows() -> RecordBatch {
    let ids = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as _;
    let names = Arc::new(StringArray::from(vec!["a", "b", "c"])) as _;
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

fn messages() -> Vec<Message> {
    let header = Header { name: "type".into(), value: Some(Bytes::from_static(b"order")) };
    vec![
        message("first"),
        Message {
            key: Some(Bytes::from_static(b"key")),
            value: None,
            headers: vec![header],
            timestamp: Some(TimestampMicros(1_600_000_000_000_000)),
        },
    ]
}

async fn fill(log: &EmbeddedLog) {
    let options = TopicOptions {
        partitions: 2,
        timestamps: TimestampKind::Producer,
        compression: Compression::None,
        ..TopicOptions::default()
    };
    log.create(&topic(), &options).await.unwrap();
    let place = Place::new(&topic(), 0);
    let numbered = Sequenced { producer: 77, epoch: 1, sequence: 5 };
    log.append(Append::messages(&place, messages()).sequenced(numbered)).await.unwrap();
    log.append(Append::rows(&place, rows())).await.unwrap();
    log.append(Append::messages(&Place::new(&topic(), 1), vec![message("other")])).await.unwrap();
    log.pin(&ReaderName::new("silver.orders").unwrap(), &place.at(2)).await.unwrap();
    log.close().await.unwrap();
}

/// Writes the sample anew; a change of the format keeps the former ones and adds another.
#[tokio::test]
#[ignore = "a sample is written once, when its format is new"]
async fn write_sample() {
    let mut options = disk_options(&sample());
    options.segment_bytes = 200;
    let log = EmbeddedLog::open(options).await.unwrap();
    fill(&log).await;
    fs::remove_file(sample().join("lock")).unwrap();
}

#[tokio::test]
async fn format_1_is_read() {
    let folder = TempDir::new().unwrap();
    copy(&sample(), folder.path());
    let log = EmbeddedLog::open(disk_options(folder.path())).await.unwrap();
    assert_eq!(*log.recovery(), millstream_log::Recovery::default());
    let place = Place::new(&topic(), 0);
    let bound = ReadBound { bytes: usize::MAX, ..ReadBound::default() };
    let read = log.read(&place.at(0), bound).await.unwrap();
    let [first, second] = &read.batches[..] else { panic!("{read:?}") };
    let Payload::Messages(found) = &first.payload else { panic!("{first:?}") };
    assert_eq!(found[1], messages()[1]);
    assert_eq!(found[0].value, messages()[0].value);
    assert_eq!((second.offset, &second.payload), (2, &Payload::Rows(rows())));
    let numbered = Sequenced { producer: 77, epoch: 1, sequence: 5 };
    let again = log.append(Append::messages(&place, messages()).sequenced(numbered)).await.unwrap();
    assert_eq!((again.repeated, again.offsets), (true, Some(0..2)));
    assert_eq!(log.pins(&topic()).await.unwrap()[0].position, place.at(2));
    let other = log.read(&Place::new(&topic(), 1).at(0), bound).await.unwrap();
    assert_eq!(other.next, 1);
    log.append(Append::rows(&place, rows())).await.unwrap();
}

/// A log of a later format is left alone.
#[tokio::test]
async fn a_later_format_is_refused() {
    let folder = TempDir::new().unwrap();
    copy(&sample(), folder.path());
    let text = "log 2\n";
    let check = format!("{text}check {:08x}\n", crc(text.as_bytes()));
    fs::write(folder.path().join("log"), check).unwrap();
    let error = EmbeddedLog::open(disk_options(folder.path())).await.unwrap_err();
    assert_eq!(error.code(), "MS-1403");
    assert!(error.to_string().contains("has format 2, this version reads format 1"), "{error}");
}

/// The checksum of files, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
