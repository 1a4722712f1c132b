//! CSV as it comes, good and nasty.

use millstream_connector::ReadRequest;
use serde_json::{Value, json};

use crate::folder::{Folder, options, read_one};

async fn read(content: &[u8], csv: Value, block_bytes: usize) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    folder.write("in.csv", content);
    let mut options = options("in.csv");
    options["csv"] = csv;
    options["block_bytes"] = block_bytes.into();
    read_one(&options, &folder, &ReadRequest::default()).await
}

/// Reads at several block sizes: where a file is cut must never show.
async fn check_with(csv: Value, content: &[u8], expected: &[&str]) {
    for block_bytes in [1, 5, 16, 1 << 20] {
        let rows = read(content, csv.clone(), block_bytes).await.unwrap();
        assert_eq!(rows, expected, "{:?} in blocks of {block_bytes}", String::from_utf8_lossy(content));
    }
}

async fn check(content: &[u8], expected: &[&str]) {
    check_with(json!({}), content, expected).await;
}

async fn check_broken(content: &[u8], reason: &str) {
    let error = read(content, json!({}), 16).await.unwrap_err();
    assert!(error.contains(reason), "{error:?} does not say {reason:?}");
}

#[tokio::test]
async fn plain_rows_stand_at_their_line() {
    check(b"a,b\n1,x\n2,y\n", &["2: a: 1, b: x", "3: a: 2, b: y"]).await;
    check(b"a,b\n1,x\n2,y", &["2: a: 1, b: x", "3: a: 2, b: y"]).await;
    check(b"a,b\r\n1,x\r\n2,y\r\n", &["2: a: 1, b: x", "3: a: 2, b: y"]).await;
    check(b"\xEF\xBB\xBFa,b\n1,x\n", &["2: a: 1, b: x"]).await;
    check(b"a,b\n1,x\n\n\r\n2,y\n", &["2: a: 1, b: x", "5: a: 2, b: y"]).await;
    check(b"\n\na,b\n1,x\n", &["4: a: 1, b: x"]).await;
    check(b"a\n1\n\n2\n", &["2: a: 1", "4: a: 2"]).await;
}

/// Old Macs and some spreadsheets write lines that end so.
#[tokio::test]
async fn carriage_returns_alone_end_lines_where_nothing_else_does() {
    check(b"a,b\r1,2\r3,4\r", &["2: a: 1, b: 2", "3: a: 3, b: 4"]).await;
    check(b"a,b\r1,2\r\r3,4", &["2: a: 1, b: 2", "4: a: 3, b: 4"]).await;
    check(
        b"a,b\r\"x\ry\",2\r3\r5,6\r",
        &["2: a: x\ry, b: 2", "4: ! it has 1 field where 2 are expected <3>", "5: a: 5, b: 6"],
    )
    .await;
    check(b"a,b\r\"x,2\r3,4\r", &["2: ! a quoted field does not end properly <\"x,2>", "3: a: 3, b: 4"])
        .await;
    check(b"a,b\r1,\"x\ny\"\r2,z\r", &["2: a: 1, b: x\ny", "3: a: 2, b: z"]).await;
    check(b"a,\"b\nc\"\r1,x\r", &["2: a: 1, b\nc: x"]).await;
    check(b"a\rb,c\n1,2\n", &["2: a\rb: 1, c: 2"]).await;
    check(b"a,b\n1,2\r3,4\n", &["2: ! it has 3 fields where 2 are expected <1,2\r3,4>"]).await;
    check(b"\"a\rb\",c", &[]).await;
    check(b"\"a\rb\",c\n1,2\n", &["2: a\rb: 1, c: 2"]).await;
    check_with(json!({"comment": "#"}), b"#x\ra,b\r#y\r1,2\r", &["4: a: 1, b: 2"]).await;
}

#[tokio::test]
async fn files_without_rows_give_no_rows() {
    check(b"", &[]).await;
    check(b"\n\n", &[]).await;
    check(b"a,b", &[]).await;
    check(b"a,b\n", &[]).await;
    check(b"a,b\r\n\r\n", &[]).await;
}

#[tokio::test]
async fn quotes_hold_delimiters_line_ends_and_quotes() {
    check(b"a,b\n\"1,5\",x\n2,y\n", &["2: a: 1,5, b: x", "3: a: 2, b: y"]).await;
    check(b"a,b\n1,\"x\ny\"\n2,z\n", &["2: a: 1, b: x\ny", "4: a: 2, b: z"]).await;
    check(b"a,b\n1,\"x\r\n\r\ny\"\r\n2,z\r\n", &["2: a: 1, b: x\r\n\r\ny", "5: a: 2, b: z"]).await;
    check(b"a,b\n1,\"say \"\"hi\"\"\"\n", &["2: a: 1, b: say \"hi\""]).await;
    check(b"a,b\n1,\"\"\"\"\n", &["2: a: 1, b: \""]).await;
    check(b"a,b\n1,5\" pipe\n2,y\n", &["2: a: 1, b: 5\" pipe", "3: a: 2, b: y"]).await;
    check(b"\"a\",\"b, c\"\n1,2\n", &["2: a: 1, b, c: 2"]).await;
    check(b"\"a\nx\",b\n1,2\n", &["3: a\nx: 1, b: 2"]).await;
}

#[tokio::test]
async fn an_empty_field_is_null_and_an_empty_quoted_one_is_empty() {
    check(b"a,b,c\n,\"\",x\n,,\n", &["2: b: , c: x", "3:"]).await;
    check(b"a,b\n1,\n\"\",\"\"\n", &["2: a: 1", "3: a: , b:"]).await;
}

#[tokio::test]
async fn ragged_rows_are_set_apart() {
    check(
        b"a,b\n1\n2,y\n3,z,w\n4,v\n",
        &[
            "2: ! it has 1 field where 2 are expected <1>",
            "3: a: 2, b: y",
            "4: ! it has 3 fields where 2 are expected <3,z,w>",
            "5: a: 4, b: v",
        ],
    )
    .await;
    check(b"a,b\n1,x,\n", &["2: ! it has 3 fields where 2 are expected <1,x,>"]).await;
    check(b"a,b\n\"1\n2\"\n3,z\n", &["2: ! it has 1 field where 2 are expected <\"1\n2\">", "4: a: 3, b: z"])
        .await;
}

#[tokio::test]
async fn a_stray_quote_costs_one_line() {
    let reason = "a quoted field does not end properly";
    let first = format!("2: ! {reason} <1,\"x>");
    check(b"a,b\n1,\"x\n2,y\n3,z\n", &[&first, "3: a: 2, b: y", "4: a: 3, b: z"]).await;
    check(
        b"a,b\n1,\"x\n2,y\n3,\"good\"\n4,z\n",
        &[&first, "3: a: 2, b: y", "4: a: 3, b: good", "5: a: 4, b: z"],
    )
    .await;
    let text_after = format!("2: ! {reason} <1,\"x\" y>");
    check(b"a,b\n1,\"x\" y\n2,z\n", &[&text_after, "3: a: 2, b: z"]).await;
    check(b"a,b\n1,\"x\n", &[&first]).await;
    check(b"a,b\n1,\"x", &[&first]).await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_cost_their_row() {
    check(
        b"a,b\n1,caf\xe9\n2,caf\xc3\xa9\n",
        &["2: ! it is not valid UTF-8 <1,caf\u{fffd}>", "3: a: 2, b: caf\u{e9}"],
    )
    .await;
    // Two halves of a character in neighbouring rows are two broken rows, not one good column.
    check(
        b"a,b\n\xc3,x\n\xa9,y\n",
        &["2: ! it is not valid UTF-8 <\u{fffd},x>", "3: ! it is not valid UTF-8 <\u{fffd},y>"],
    )
    .await;
}

#[tokio::test]
async fn dialects() {
    check_with(json!({"delimiter": ";"}), b"a;b\n1,5;x\n", &["2: a: 1,5, b: x"]).await;
    check_with(json!({"delimiter": "\t"}), b"a\tb\n1\tx\n", &["2: a: 1, b: x"]).await;
    check_with(json!({"quote": "'"}), b"a,b\n'1,5',\"x\n", &["2: a: 1,5, b: \"x"]).await;
    check_with(json!({"quote": false}), b"a,b\n\"1,x\"\n", &["2: a: \"1, b: x\""]).await;
    check_with(
        json!({"escape": "\\"}),
        b"a,b\n1,\"say \\\"hi\\\", you\"\n",
        &["2: a: 1, b: say \"hi\", you"],
    )
    .await;
    check_with(
        json!({"comment": "#"}),
        b"# made by \"hand\na,b\n# and, \"more\n1,x\n2,#y\n",
        &["4: a: 1, b: x", "5: a: 2, b: #y"],
    )
    .await;
    check_with(json!({"null_values": ["NA"]}), b"a,b\nNA,\"NA\"\n", &["2: b: NA"]).await;
    check_with(
        json!({"header": false}),
        b"1,x\n2,y\n",
        &["1: column_1: 1, column_2: x", "2: column_1: 2, column_2: y"],
    )
    .await;
    check_with(json!({"header": false, "columns": ["a", "b"]}), b"1,x\n", &["1: a: 1, b: x"]).await;
}

#[tokio::test]
async fn headers() {
    check(b" a , b \n1,x\n", &["2: a: 1, b: x"]).await;
    check(b",b\n1,x\n", &["2: column_1: 1, b: x"]).await;
    check_broken(b"a,b,a\n1,2,3\n", "names the column `a` twice").await;
    check_broken(b"a, a\n1,2\n", "names the column `a` twice").await;
    check_broken(b"caf\xe9,b\n1,2\n", "its header is not UTF-8").await;
    check_broken(b"a,\"b\n1,2\n", "does not end properly").await;
    check_broken(b"\xFF\xFEa\0,\0b\0\n\0", "it is UTF-16").await;
    check_broken(b"a\0,\0b\0\n\x001\0,\x002\0\n\0", "it is UTF-16").await;
}

#[tokio::test]
async fn a_record_beyond_the_bound_is_refused() {
    let mut content = b"a,b\n1,".to_vec();
    content.resize(66 << 20, b'x');
    let error = read(&content, json!({}), 1 << 20).await.unwrap_err();
    assert!(error.contains("line 2 is longer than 64 MiB"), "{error}");
}

#[tokio::test]
async fn a_long_record_is_read_whole() {
    let long = "x".repeat(3 << 20);
    let content = format!("a,b\n1,\"{long}\n{long}\"\n2,y\n");
    let rows = read(content.as_bytes(), json!({}), 1 << 16).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].len(), "2: a: 1, b: ".len() + 2 * long.len() + 1);
    assert_eq!(rows[1], "4: a: 2, b: y");
}

#[tokio::test]
async fn lines_before_the_table_are_skipped_and_columns_named_anew() {
    let skip = |options: Value| check_with(options, b"Report of May\n\"open\na,b\n1,x\n", &["4: a: 1, b: x"]);
    skip(json!({"skip_rows": 2})).await;
    let rows = ["3: x: 1, y: 2"];
    check_with(json!({"columns": ["x", "y"], "skip_rows": 1}), b"a,a\na,a\n1,2\n", &rows).await;
    check_with(
        json!({"columns": ["x", "y"], "skip_rows": 1, "header": false}),
        b"a,a\n1,2\n",
        &["2: x: 1, y: 2"],
    )
    .await;
    check_with(json!({"skip_rows": 5}), b"a,b\n1,2\n", &[]).await;
    check(b"   \na,b\n1,2\n", &["3: a: 1, b: 2"]).await;
    check(b"   \n\n", &[]).await;
    for (csv, content, reason) in [
        (json!({"columns": ["x"]}), &b"a,b\n1,2\n"[..], "its header has 2 columns, and `columns` names 1"),
        (json!({}), b"a,a\n1,2\n", "names the column `a` twice; `columns` can name them anew"),
    ] {
        let error = read(content, csv, 16).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn columns_are_renamed_in_every_format() {
    let folder = Folder::new();
    folder.write("a.csv", "Order ID,b\n1,x\n");
    folder.write("a.jsonl", "{\"Order ID\":1}\n{\"b\":\"x\"}\n");
    for (name, expected) in [("a.csv", &["2: id: 1, b: x"][..]), ("a.jsonl", &["1: id: 1", "2: b: x"])] {
        let mut options = options(name);
        options["rename"] = json!({"Order ID": "id", "unknown": "b2"});
        assert_eq!(read_one(&options, &folder, &ReadRequest::default()).await.unwrap(), expected);
        options["rename"] = json!({"Order ID": "b"});
        let found = read_one(&options, &folder, &ReadRequest::default()).await;
        assert!(found.is_err_and(|error| error.contains("gives two of its columns the name `b`")), "{name}");
    }
}
