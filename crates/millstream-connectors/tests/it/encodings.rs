//! Text in other encodings than UTF-8.

use millstream_connector::{ReadRequest, conformance::read_batches};

use serde_json::{Value, json};

use crate::folder::{Folder, discover, lines, options, read_one};

async fn read(name: &str, content: &[u8], encoding: &str, block_bytes: usize) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    folder.write(name, content);
    let mut options = options(name);
    options["encoding"] = encoding.into();
    options["block_bytes"] = block_bytes.into();
    read_one(&options, &folder, &ReadRequest::default()).await
}

async fn check(name: &str, content: &[u8], encoding: &str, expected: &[&str]) {
    for block_bytes in [1, 16, 1 << 20] {
        assert_eq!(
            read(name, content, encoding, block_bytes).await.unwrap(),
            expected,
            "{name} as {encoding}"
        );
    }
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[tokio::test]
async fn text_is_read_in_its_encoding() {
    let rows = ["2: n: José, c: Köln", "3: n: x, c: ñ"];
    let latin1 = b"n,c\nJos\xe9,K\xf6ln\nx,\xf1\n";
    check("a.csv", latin1, "latin1", &rows).await;
    check("a.csv", latin1, "iso-8859-15", &rows).await;
    check("a.csv", "n,c\nJosé,Köln\nx,ñ\n".as_bytes(), "utf-8", &rows).await;
    check("a.csv", &utf16("n,c\nJosé,Köln\nx,ñ\n", u16::to_le_bytes), "utf-16le", &rows).await;
    check("a.csv", &utf16("\u{feff}n,c\r\nJosé,Köln\r\nx,ñ", u16::to_be_bytes), "utf-16be", &rows).await;
    check("a.jsonl", b"{\"n\":\"Jos\xe9\"}\n", "windows-1252", &["1: n: José"]).await;
    check("a.csv", b"\x83f\x81[\x83^\n\x88\xea\n", "shift_jis", &["2: データ: 一"]).await;
    check("a.csv", b"pr\xe9nom\r1\r", "latin1", &["2: prénom: 1"]).await;
}

#[tokio::test]
async fn bytes_that_are_no_text_in_the_encoding_cost_their_row() {
    let rows = ["2: ! it is not valid Shift_JIS <\u{fffd},x>", "3: a: 1, b: y"];
    check("a.csv", b"a,b\n\x81\xff,x\n1,y\n", "shift_jis", &rows).await;
}

/// No text can stand for such bytes, so they are kept for whoever finds out the encoding.
#[tokio::test]
async fn rows_that_are_not_utf8_keep_their_bytes() {
    for (name, content, row) in [
        ("a.csv", &b"a,b\n1,x\n2,caf\xe9\r\n"[..], &b"2,caf\xe9"[..]),
        ("a.csv", b"a,b\n1,x\n2,caf\xe9,3\n", b"2,caf\xe9,3"),
        ("a.jsonl", b"{\"a\":1}\n\n{\"a\":\"\xe9\"}\r\n", b"{\"a\":\"\xe9\"}"),
    ] {
        let folder = Folder::new();
        folder.write(name, content);
        let connector = folder.connector(&options(name));
        let found = discover(&*connector, &[]).await;
        let batches = read_batches(&*connector, &found.parts[0], &ReadRequest::default()).await.unwrap();
        let malformed: Vec<_> = batches.iter().flat_map(|batch| &batch.malformed).collect();
        assert_eq!(malformed.len(), 1, "{malformed:?}");
        assert_eq!((malformed[0].position, malformed[0].bytes.as_deref()), (3, Some(row)));
    }
}

#[tokio::test]
async fn other_encodings_are_named_where_none_is_stated() {
    for (content, expected) in [
        (&b"\xff\xfea\0\n\0"[..], "add `encoding: utf-16le`"),
        (b"\xfe\xff\0a\0\n", "add `encoding: utf-16be`"),
        (b"a\0,\0b\0\n\0", "add `encoding: utf-16le`"),
        (b"\0a\0,\0b\0\n", "add `encoding: utf-16be`"),
        (b"\xff\xfe\0\0a\0\0\0\n\0\0\0", "it is UTF-32"),
        (b"\0\0\xfe\xff\0\0\0a\0\0\0\n", "it is UTF-32"),
        (b"a\0\0\0,\0\0\0b\0\0\0\n\0\0\0", "it is UTF-32"),
        (b"caf\xe9\n1\n", "name its encoding with `encoding: "),
    ] {
        let error = read("a.csv", content, "utf-8", 16).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// The rows that were malformed with one set of options, read with another one.
async fn again(name: &str, content: &[u8], before: Value, after: Value) -> Vec<String> {
    let folder = Folder::new();
    folder.write(name, content);
    let with = |more: Value| {
        let mut options = options(name);
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        folder.connector(&options)
    };
    let connector = with(before);
    let found = discover(&*connector, &[]).await;
    let batches = read_batches(&*connector, &found.parts[0], &ReadRequest::default()).await.unwrap();
    let malformed: Vec<_> = batches.into_iter().flat_map(|batch| batch.malformed).collect();
    lines(&with(after).decode_again(name, malformed).await.unwrap())
}

#[tokio::test]
async fn rows_that_were_malformed_are_read_with_the_right_options() {
    let (none, latin1) = (json!({}), json!({"encoding": "latin1"}));
    let csv = b"a,b\n1,x\n2,caf\xe9\n3,y,z\n4,\xf1\n";
    assert_eq!(
        again("a.csv", csv, none.clone(), latin1.clone()).await,
        ["3: a: 2, b: café", "5: a: 4, b: ñ"]
    );
    assert_eq!(again("a.csv", csv, none.clone(), none.clone()).await, Vec::<String>::new());
    let json = b"{\"a\":\"\xe9\"}\n{}\n{\"a\":\n{\"b\":\"\xf1\"}\n";
    assert_eq!(again("a.jsonl", json, none.clone(), latin1.clone()).await, ["1: a: é", "4: b: ñ"]);
    let quoted = b"a,b\n1,'x;\n2,\"y\n";
    assert_eq!(again("a.csv", quoted, none, json!({"csv": {"quote": false}})).await, ["3: a: 2, b: \"y"]);
    // What was decoded already is lost where it was no text, and must not come back as something else.
    let sjis = b"a,b\n\x81\xff,x\n";
    assert_eq!(again("a.csv", sjis, json!({"encoding": "shift_jis"}), latin1).await, Vec::<String>::new());
}
