//! What of a body is an event, and how it is told what is none.

use std::sync::Arc;

use arrow::{
    array::{Int64Array, NullArray, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
    ipc::writer::{IpcWriteOptions, StreamWriter},
};
use bytes::Bytes;
use millstream_engine::{EventFormat, EventRules, Events, read_events};
use serde::de::IgnoredAny;
use serde_json::Value;

fn rules(key: Option<&str>) -> EventRules {
    EventRules { key: key.map(str::to_owned), event_bytes_max: 100, events_max: 5 }
}

/// The events of a body with their keys, or why there are none.
fn read(format: EventFormat, body: &[u8], key: Option<&str>) -> String {
    match read_events(format, &Bytes::copy_from_slice(body), &rules(key)) {
        Ok(Events::Messages(messages)) => {
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            let one = |message: &millstream_log::Message| match &message.key {
                Some(key) => format!("{} <- {}", text(message.value.as_ref().unwrap()), text(key)),
                None => text(message.value.as_ref().unwrap()),
            };
            messages.iter().map(one).collect::<Vec<_>>().join("\n")
        }
        Ok(rows) => format!("{} rows", rows.count()),
        Err(error) => {
            let faults = error.faults().iter().map(|fault| {
                let offset = fault.offset.map_or_else(String::new, |offset| format!(" at {offset}"));
                format!("{}{offset}: {}", fault.index, fault.reason)
            });
            [error.code().to_owned()].into_iter().chain(faults).collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn a_json_body_is_one_object_or_a_list_of_them() {
    for (body, expected) in [
        (&br#" {"a": 1} "#[..], r#"{"a": 1}"#),
        (br#"[{"a":1}, {"a": [{"b": "}]"}]}]"#, "{\"a\":1}\n{\"a\": [{\"b\": \"}]\"}]}"),
        (b"[]", ""),
        (b"[ ]\n", ""),
        (b"", "MS-1252\n0 at 0: the body is empty"),
        (b"  ", "MS-1252\n0 at 2: the body is empty"),
        (b"{\"a\": 1", "MS-1252\n0 at 7: it ends in the middle"),
        (b"{\"a\": NaN}", "MS-1252\n0 at 6: a value is needed"),
        (b"{\"a\": 01}", "MS-1252\n0 at 7: `,` or `}` is needed"),
        (b"{'a': 1}", "MS-1252\n0 at 1: the name of a member is needed"),
        (b"5", "MS-1252\n0 at 0: it is no JSON object"),
        (
            b"{} {}",
            "MS-1252\n0 at 3: something follows the object; send several events as a list, or as `application/x-ndjson`",
        ),
        (b"[{}, 1, {}, [{}]]", "MS-1252\n1 at 5: it is no JSON object\n3 at 12: it is no JSON object"),
        (b"[{} {}]", "MS-1252\n1 at 4: `,` or `]` is needed after an event"),
        (b"[{},]", "MS-1252\n1 at 4: a value is needed"),
        (b"[{}, {\"a\": tru}]", "MS-1252\n1 at 11: a value is needed"),
        (b"[{}] x", "MS-1252\n0 at 5: something follows the list"),
        (b"{\"a\": \"\xff\"}", "MS-1252\n0 at 7: it is no UTF-8 text"),
        (b"{\"a\": \"\n\"}", "MS-1252\n0 at 7: a text has a control character"),
        (b"{\"a\": \"\\x\"}", "MS-1252\n0 at 8: a backslash stands before nothing that it can escape"),
        (b"[{},{},{},{},{},{}]", "MS-1256"),
    ] {
        assert_eq!(read(EventFormat::Json, body, None), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn json_lines_are_events_and_all_that_are_none_are_named() {
    let body = b"{\"a\":1}\r\n\n  {\"a\":2}\n{\"a\":3}";
    assert_eq!(read(EventFormat::Ndjson, body, None), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}");
    assert_eq!(read(EventFormat::Ndjson, b"", None), "");
    let body = b"{\"a\":1}\n{\"a\":\n{\"a\":3}\n\n[1]\n{} x\n";
    let expected = "MS-1252\n1 at 13: it ends in the middle\n3 at 23: it is no JSON object\n4 at 30: something follows the object in its line";
    assert_eq!(read(EventFormat::Ndjson, body, None), expected);
    let bad = "x\n".repeat(5);
    assert_eq!(read(EventFormat::Ndjson, bad.as_bytes(), None).lines().count(), 6);
    let rules = EventRules { events_max: 1_000, ..rules(None) };
    let error = read_events(EventFormat::Ndjson, &Bytes::from("x\n".repeat(500)), &rules).unwrap_err();
    assert_eq!(
        (error.faults().len(), error.to_string()),
        (20, "500 rows of the body cannot be taken as events".to_owned())
    );
}

#[test]
fn a_message_of_50_megabytes_and_deep_nesting_are_refused() {
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(50_000_000));
    let told = read(EventFormat::Json, large.as_bytes(), None);
    assert_eq!(told, "MS-1256\n0 at 0: it has 50000009 bytes, at most 100 are taken");
    let rules = EventRules { event_bytes_max: u64::MAX, ..rules(None) };
    for (depth, fits) in [(118, true), (119, true), (120, false), (2_000_000, false)] {
        let nested = format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        for key in [None, Some("a".to_owned())] {
            let has_key = key.is_some();
            let rules = EventRules { key, ..rules.clone() };
            let found = read_events(EventFormat::Json, &Bytes::from(nested.clone()), &rules);
            match found {
                Ok(_) => assert!(fits && !has_key, "{depth}"),
                Err(error) if fits => assert!(error.faults()[0].reason.contains("its key"), "{depth}"),
                Err(error) => assert!(error.faults()[0].reason.contains("nested"), "{depth}: {error}"),
            }
        }
    }
}

#[test]
fn the_key_of_an_event_is_the_value_of_its_member() {
    for (event, expected) in [
        (r#"{"id": 7, "a": {"id": 8}}"#, "7"),
        (r#"{"id": "b"}"#, "b"),
        (r#"{"a": [1], "id": "\u0062\n"}"#, "b\n"),
        (r#"{"\u0069d": "b"}"#, "b"),
        (r#"{"id": 7.0}"#, "7"),
        (r#"{"id": 70e-1}"#, "7"),
        (r#"{"id": true}"#, "true"),
    ] {
        assert_eq!(read(EventFormat::Json, event.as_bytes(), Some("id")), format!("{event} <- {expected}"));
    }
    for event in ["{}", r#"{"a": {"id": 1}}"#, r#"{"id": null}"#, r#"{"id": [1]}"#, r#"{"id": "\ud800"}"#] {
        let told = read(EventFormat::Json, event.as_bytes(), Some("id"));
        assert_eq!(told, "MS-1252\n0 at 0: it has no value for its key `id`", "{event}");
    }
    let twice = read(EventFormat::Json, br#"{"id": 1, "id": 2}"#, Some("id"));
    assert_eq!(twice, "MS-1252\n0 at 10: the key is there twice");
}

/// Random numbers that follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap()
    }
}

/// Appends a random value.
fn random_json(dice: &mut Dice, depth: u32, out: &mut Vec<u8>) {
    match dice.below(if depth > 4 { 7 } else { 9 }) {
        0 => out.extend_from_slice(b"null"),
        1 => out.extend_from_slice(b"true"),
        2 => out.extend_from_slice(b"-12"),
        3 => out.extend_from_slice(b"0.5e-3"),
        4 => out.extend_from_slice(b"\"\""),
        5 => out.extend_from_slice("\"\\u00e9\\\"\\\\x\u{e9}\u{1f600}\"".as_bytes()),
        6 => out.extend_from_slice(b"1E400"),
        7 => {
            out.push(b'[');
            for at in 0..dice.below(3) {
                if at > 0 {
                    out.extend_from_slice(b" , ");
                }
                random_json(dice, depth + 1, out);
            }
            out.push(b']');
        }
        _ => random_object(dice, depth, out),
    }
}

fn random_object(dice: &mut Dice, depth: u32, out: &mut Vec<u8>) {
    out.push(b'{');
    for at in 0..dice.below(4) {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice([&b"\"a\":"[..], b"\"id\" : ", b"\"\\n\":\t"][dice.below(3)]);
        random_json(dice, depth + 1, out);
    }
    out.push(b'}');
}

#[test]
fn what_is_an_event_is_what_another_reader_of_json_reads() {
    let mut dice = Dice(3);
    let rules = EventRules { event_bytes_max: u64::MAX, ..rules(None) };
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..60_000 {
        let mut text = Vec::new();
        random_object(&mut dice, 0, &mut text);
        for _ in 0..dice.below(3) {
            let at = dice.below(text.len());
            match dice.below(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, b"{}[]\",:\\x0-.eE \xc3\x01"[dice.below(17)]),
                2 => text[at] = b"{}[]\",:\\u0-.+t \xff\x1f"[dice.below(17)],
                _ => text.truncate(at),
            }
            if text.is_empty() {
                text.push(b'{');
            }
        }
        let is_text = std::str::from_utf8(&text).is_ok();
        let starts = text.trim_ascii_start().first() == Some(&b'{');
        let is_blank = text.trim_ascii().is_empty();
        let is_object = is_text && starts && serde_json::from_slice::<IgnoredAny>(&text).is_ok();
        let expected = is_blank || is_object;
        let found = read_events(EventFormat::Ndjson, &Bytes::from(text.clone()), &rules);
        assert_eq!(found.is_ok(), expected, "{}: {found:?}", String::from_utf8_lossy(&text));
        // The member that is looked for on the way changes nothing but what is asked of it.
        let keyed = EventRules { key: Some("id".to_owned()), ..rules.clone() };
        if !is_blank && read_events(EventFormat::Ndjson, &Bytes::from(text.clone()), &keyed).is_ok() {
            assert!(expected, "{}", String::from_utf8_lossy(&text));
            let value: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
            assert!(value.is_null() || !value["id"].is_null(), "{}", String::from_utf8_lossy(&text));
        }
        if expected { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 10_000 && refused > 10_000, "{accepted} {refused}");
}

pub(crate) fn stream_of(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

pub(crate) fn rows(ids: Vec<Option<i64>>) -> RecordBatch {
    let names: StringArray = ids.iter().map(|id| id.map(|id| format!("name {id}"))).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(ids)) as _, true),
        ("name", Arc::new(names) as _, true),
    ])
    .unwrap()
}

#[test]
fn rows_of_arrow_are_events_and_hostile_streams_are_refused() {
    let plain = IpcWriteOptions::default();
    let good = stream_of(&[rows(vec![Some(1), None]), rows(vec![Some(3)])], plain.clone());
    assert_eq!(read(EventFormat::Arrow, &good, None), "3 rows");
    assert_eq!(read(EventFormat::Arrow, &good, Some("id")), "MS-1252\n1: it has no value for its key `id`");
    assert_eq!(read(EventFormat::Arrow, &good, Some("x")), "MS-1252\n0: it has no value for its key `x`");
    let compressed =
        plain.clone().try_with_compression(Some(arrow::ipc::CompressionType::LZ4_FRAME)).unwrap();
    let packed = stream_of(&[rows((0..5).map(Some).collect())], compressed);
    assert_eq!(read(EventFormat::Arrow, &packed, None), "MS-1252");
    // A column of nulls says that it has many, and needs no bytes for that.
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Null, true)]));
    let many = RecordBatch::try_new(schema, vec![Arc::new(NullArray::new(1 << 40))]).unwrap();
    assert_eq!(read(EventFormat::Arrow, &stream_of(&[many], plain), Some("id")), "MS-1256");
    for cut in 0..good.len() {
        let told = read(EventFormat::Arrow, &good[..cut], None);
        assert!(told == "MS-1252" || told.ends_with("rows"), "{cut}: {told}");
    }
    assert_eq!(read(EventFormat::Arrow, b"{\"id\": 1}", None), "MS-1252");
}
