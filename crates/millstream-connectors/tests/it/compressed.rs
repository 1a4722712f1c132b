//! gzip and zstd around text formats.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use millstream_connector::ReadRequest;

use crate::folder::{Folder, options, read_one};

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

async fn read(name: &str, content: &[u8]) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    folder.write(name, content);
    read_one(&options(name), &folder, &ReadRequest::default()).await
}

#[tokio::test]
async fn text_is_decompressed() {
    let csv = b"a,b\n1,x\n2,y\n";
    let rows = ["2: a: 1, b: x", "3: a: 2, b: y"];
    assert_eq!(read("in.csv.gz", &gzip(csv)).await.unwrap(), rows);
    assert_eq!(read("in.CSV.GZ", &gzip(csv)).await.unwrap(), rows);
    assert_eq!(read("in.csv.zst", &zstd(csv)).await.unwrap(), rows);
    assert_eq!(read("in.jsonl.gz", &gzip(b"{\"a\":1}\n")).await.unwrap(), ["1: a: 1"]);
    assert_eq!(read("in.ndjson.zst", &zstd(b"{\"a\":1}\n")).await.unwrap(), ["1: a: 1"]);
    assert_eq!(read("in.tsv.gz", &gzip(b"a\tb\n1\tx\n")).await.unwrap(), ["2: a: 1, b: x"]);
}

#[tokio::test]
async fn archives_in_several_pieces_are_one_file() {
    let pieces = [gzip(b"a,b\n1,"), gzip(b"x\n2,y\n")].concat();
    assert_eq!(read("in.csv.gz", &pieces).await.unwrap(), ["2: a: 1, b: x", "3: a: 2, b: y"]);
    let frames = [zstd(b"a,b\n1,"), zstd(b"x\n2,y\n")].concat();
    assert_eq!(read("in.csv.zst", &frames).await.unwrap(), ["2: a: 1, b: x", "3: a: 2, b: y"]);
}

#[tokio::test]
async fn truncated_and_wrong_archives_are_broken() {
    let csv = "a,b\n1,x\n".repeat(1000);
    for (name, whole) in [("in.csv.gz", gzip(csv.as_bytes())), ("in.csv.zst", zstd(csv.as_bytes()))] {
        let error = read(name, &whole[..whole.len() - 5]).await.unwrap_err();
        assert!(error.contains("is broken") && error.contains("compressed data"), "{name}: {error}");
        let error = read(name, csv.as_bytes()).await.unwrap_err();
        assert!(
            error.contains("is broken") && error.contains("it is not the compressed data ("),
            "{name}: {error}"
        );
    }
    let error = read("in.csv.gz", &[gzip(csv.as_bytes()), b"more".to_vec()].concat()).await.unwrap_err();
    assert!(error.contains("other bytes follow its compressed data"), "{error}");
}
