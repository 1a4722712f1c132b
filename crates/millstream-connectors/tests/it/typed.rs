//! Parquet and Avro.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, DictionaryArray, Float64Array, Int32Array, Int32Builder, Int64Array, LargeStringArray,
        ListBuilder, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
        Time64MicrosecondArray, TimestampMillisecondArray, UInt32Array,
    },
    datatypes::{DataType, Field, Int32Type, Schema},
};
use arrow_avro::writer::AvroWriter;
use millstream_connector::{ConnectorError, ReadRequest, conformance::read_batches};
use parquet::{
    arrow::ArrowWriter,
    data_type::{Int96, Int96Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use crate::folder::{Folder, discover, lines, options, read_one};

/// `rows` rows of an id and a name.
pub(crate) fn people(first: i64, rows: i64) -> RecordBatch {
    let ids: Int64Array = (first..first + rows).collect();
    let names: StringArray =
        (first..first + rows).map(|id| (id % 7 != 0).then(|| format!("name {id}"))).collect();
    let schema =
        Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(names)]).unwrap()
}

pub(crate) fn parquet_bytes(batch: &RecordBatch, group_rows: usize) -> Vec<u8> {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

pub(crate) fn avro_bytes(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = AvroWriter::new(Vec::new(), batches[0].schema().as_ref().clone()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner()
}

async fn read(name: &str, content: &[u8], after: Option<i64>) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    folder.write(name, content);
    read_one(&options(name), &folder, &ReadRequest { after, ..ReadRequest::default() }).await
}

#[tokio::test]
async fn rows_stand_at_their_number() {
    let batch = people(1, 10);
    for (name, bytes) in
        [("in.parquet", parquet_bytes(&batch, 4)), ("in.avro", avro_bytes(&[people(1, 6), people(7, 4)]))]
    {
        let rows = read(name, &bytes, None).await.unwrap();
        assert_eq!(rows.len(), 10, "{name}");
        assert_eq!((rows[0].as_str(), rows[6].as_str()), ("1: id: 1, name: name 1", "7: id: 7"), "{name}");
        for after in 0..=10 {
            let rest = read(name, &bytes, Some(after)).await.unwrap();
            assert_eq!(rest, rows[usize::try_from(after).unwrap()..], "{name} after {after}");
        }
    }
}

#[tokio::test]
async fn large_row_groups_are_read_in_pieces() {
    let folder = Folder::new();
    folder.write("in.parquet", parquet_bytes(&people(1, 300_000), 1_000_000));
    let connector = folder.connector(&options("in.parquet"));
    let found = discover(&*connector, &[]).await;
    let request = ReadRequest { after: Some(140_000), ..ReadRequest::default() };
    let batches = read_batches(&*connector, &found.parts[0], &request).await.unwrap();
    let rows: usize = batches.iter().map(|batch| batch.rows.num_rows()).sum();
    assert_eq!(rows, 160_000);
    assert!(batches.len() >= 2);
    assert_eq!(lines(&batches)[0], "140001: id: 140001, name: name 140001");
}

#[tokio::test]
async fn empty_files_have_columns_and_no_rows() {
    let empty = people(1, 0);
    for (name, bytes) in
        [("in.parquet", parquet_bytes(&empty, 4)), ("in.avro", avro_bytes(std::slice::from_ref(&empty)))]
    {
        assert_eq!(read(name, &bytes, None).await.unwrap(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn types_are_those_that_a_contract_can_name() {
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).unwrap();
    let dictionary: DictionaryArray<Int32Type> = [Some("paid")].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("large", Arc::new(LargeStringArray::from(vec!["x"]))),
        ("status", Arc::new(dictionary)),
        ("count", Arc::new(UInt32Array::from(vec![4_000_000_000]))),
        ("price", Arc::new(Float64Array::from(vec![1.5]))),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![1_000]).with_timezone("UTC"))),
        ("noon", Arc::new(Time64MicrosecondArray::from(vec![12 * 3_600_000_000]))),
        ("tags", Arc::new(map.finish())),
        ("small", Arc::new(Int32Array::from(vec![7]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let folder = Folder::new();
    folder.write("in.parquet", parquet_bytes(&batch, 10));
    let connector = folder.connector(&options("in.parquet"));
    let part = &discover(&*connector, &[]).await.parts[0];
    let described = connector.describe(part).await.unwrap();
    let described: Vec<String> = described
        .iter()
        .map(|column| format!("{} {} {}", column.name, column.column_type, column.is_declared()))
        .collect();
    assert_eq!(
        described,
        [
            "large string true",
            "status string true",
            "count int64 true",
            "price float64 true",
            "at timestamp true",
            "noon string true",
            "tags list<struct<key: string, value: string>> true",
            "small int32 true",
        ]
    );
    let batches = read_batches(&*connector, part, &ReadRequest::default()).await.unwrap();
    let types: Vec<DataType> =
        batches[0].rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types[..3], [DataType::Utf8, DataType::Utf8, DataType::UInt32]);
    assert_eq!(
        lines(&batches),
        [
            "1: large: x, status: paid, count: 4000000000, price: 1.5, at: 1970-01-01T00:00:01Z, noon: 12:00:00, \
          tags: [{key: k, value: v}], small: 7"
        ]
    );
}

#[tokio::test]
async fn damaged_files_are_broken() {
    let batch = people(1, 100);
    for (name, bytes) in [("in.parquet", parquet_bytes(&batch, 10)), ("in.avro", avro_bytes(&[batch]))] {
        for content in
            [&bytes[..bytes.len() / 2], &bytes[..bytes.len() - 3], b"", b"PAR1", b"Obj\x01", b"a,b\n1,2\n"]
        {
            let error = read(name, content, None).await.unwrap_err();
            assert!(error.contains("is broken"), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn any_flipped_byte_gives_rows_or_a_typed_error() {
    let batch = people(1, 20);
    for (name, bytes) in [("in.parquet", parquet_bytes(&batch, 10)), ("in.avro", avro_bytes(&[batch]))] {
        let folder = Folder::new();
        for index in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0xff;
            folder.write(name, &damaged);
            let connector = folder.connector(&options(name));
            let part = &discover(&*connector, &[]).await.parts[0];
            let outcome = read_batches(&*connector, part, &ReadRequest::default()).await;
            assert!(
                matches!(outcome, Ok(_) | Err(ConnectorError::Broken { .. })),
                "{name} at {index}: {outcome:?}"
            );
        }
    }
}

fn maps() -> MapBuilder<StringBuilder, Int32Builder> {
    MapBuilder::new(None, StringBuilder::new(), Int32Builder::new())
}

fn add(map: &mut MapBuilder<StringBuilder, Int32Builder>, key: &str, value: i32) {
    map.keys().append_value(key);
    map.values().append_value(value);
    map.append(true).unwrap();
}

#[tokio::test]
async fn maps_are_lists_of_entries_at_any_depth() {
    let mut list = ListBuilder::new(maps());
    add(list.values(), "a", 1);
    add(list.values(), "b", 2);
    list.append(true);
    list.append(false);
    let mut map = maps();
    add(&mut map, "c", 3);
    map.append(false).unwrap();
    let map: ArrayRef = Arc::new(map.finish());
    let field = Arc::new(Field::new("m", map.data_type().clone(), true));
    let columns: Vec<(&str, ArrayRef)> =
        vec![("l", Arc::new(list.finish())), ("s", Arc::new(StructArray::from(vec![(field, map)])))];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let rows =
        ["1: l: [[{key: a, value: 1}], [{key: b, value: 2}]], s: {m: [{key: c, value: 3}]}", "2: s: {m: }"];
    assert_eq!(read("in.parquet", &parquet_bytes(&batch, 10), None).await.unwrap(), rows);
}

/// An instant as Spark and Impala wrote it, from the days and nanoseconds since 1970.
fn int96(days: u32, nanos: u64) -> Int96 {
    let mut value = Int96::new();
    let low = u32::try_from(nanos & u64::from(u32::MAX)).unwrap();
    value.set_data(low, u32::try_from(nanos >> 32).unwrap(), 2_440_588 + days);
    value
}

/// A file of one column with these values, the last one null.
fn int96_bytes(schema: &str, values: &[Int96], definition: &[i16], repetition: Option<&[i16]>) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int96Type>().write_batch(values, Some(definition), repetition).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test]
async fn instants_of_96_bits_are_read_as_they_are() {
    let far = int96(2_932_896, 0);
    let flat = |values: &[Int96]| int96_bytes("message m { OPTIONAL INT96 t; }", values, &[1, 1, 0], None);
    let micros = flat(&[int96(1, 3_600_000_001_000), far]);
    let rows = ["1: t: 1970-01-02T01:00:00.000001", "2: t: 9999-12-31T00:00:00", "3:"];
    assert_eq!(read("in.parquet", &micros, None).await.unwrap(), rows);
    // Text, so that the contract sees every digit and no instant is another one.
    let nanos = flat(&[int96(1, 3_600_000_000_001), far]);
    let rows = ["1: t: 1970-01-02T01:00:00.000000001", "2: t: 9999-12-31T00:00:00.000000000", "3:"];
    assert_eq!(read("in.parquet", &nanos, None).await.unwrap(), rows);
    let list = "message m { OPTIONAL group v (LIST) { REPEATED group list { OPTIONAL INT96 element; } } }";
    let list = int96_bytes(list, &[far, int96(0, 7)], &[3, 3, 0], Some(&[0, 1, 0]));
    let rows = ["1: v: [9999-12-31T00:00:00.000000000, 1970-01-01T00:00:00.000000007]", "2:"];
    assert_eq!(read("in.parquet", &list, None).await.unwrap(), rows);
}

#[tokio::test]
async fn a_codec_that_is_not_read_is_named() {
    let text = |text: &str| [&[u8::try_from(2 * text.len()).unwrap()], text.as_bytes()].concat();
    for codec in ["bzip2", "xz"] {
        let meta = [text("avro.schema"), text("\"long\""), text("avro.codec"), text(codec)].concat();
        let content = [b"Obj\x01\x04", meta.as_slice(), b"\0", &[7; 16]].concat();
        let error = read("in.avro", &content, None).await.unwrap_err();
        assert!(error.contains("cannot be read: it is compressed with") && error.contains(codec), "{error}");
    }
}
