//! JSON lines as they come, good and nasty.

use millstream_connector::ReadRequest;
use millstream_types::Field;

use crate::folder::{Folder, options, read_one};

async fn read(content: &[u8], columns: &[(&str, &str)], block_bytes: usize) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    folder.write("in.jsonl", content);
    let mut options = options("in.jsonl");
    options["block_bytes"] = block_bytes.into();
    let field =
        |(name, text): &(&str, &str)| Field { name: (*name).into(), column_type: text.parse().unwrap() };
    let request = ReadRequest { columns: columns.iter().map(field).collect(), ..ReadRequest::default() };
    read_one(&options, &folder, &request).await
}

async fn check_typed(columns: &[(&str, &str)], content: &[u8], expected: &[&str]) {
    for block_bytes in [1, 16, 1 << 20] {
        let mut rows = read(content, columns, block_bytes).await.unwrap();
        // Columns stand in the order in which a block meets them; only their content counts here.
        for row in &mut rows {
            if let Some((place, text)) = row.split_once(": ").filter(|(_, text)| !text.starts_with('!')) {
                let mut values: Vec<&str> = text.split(", ").collect();
                values.sort_unstable();
                *row = format!("{place}: {}", values.join(", "));
            }
        }
        assert_eq!(rows, expected, "{:?} in blocks of {block_bytes}", String::from_utf8_lossy(content));
    }
}

async fn check(content: &[u8], expected: &[&str]) {
    check_typed(&[], content, expected).await;
    check_typed(&[("a", "int64"), ("b", "string")], content, expected).await;
}

/// Lines end as in CSV.
#[tokio::test]
async fn carriage_returns_alone_end_lines_where_nothing_else_does() {
    check(b"{\"a\":1}\r{\"a\":2}\r", &["1: a: 1", "2: a: 2"]).await;
    check(b"{\"a\":1}\r\r{\"a\":2}", &["1: a: 1", "3: a: 2"]).await;
    check(b"{\"a\":1}\r", &["1: a: 1"]).await;
    check(b"{\"a\":1,\r\"b\":\"x\"}\n{\"a\":2}\r\n", &["1: a: 1, b: x", "2: a: 2"]).await;
}

#[tokio::test]
async fn scalars_arrive_as_they_were_written() {
    check(b"{\"a\":1,\"b\":\"x\"}\n{\"b\":\"y\",\"a\":2}", &["1: a: 1, b: x", "2: a: 2, b: y"]).await;
    check(b"{\"a\":1.50}\r\n{\"a\":1E3}\n", &["1: a: 1.50", "2: a: 1E3"]).await;
    check(b"{\"a\":123456789012345678901234567890}\n", &["1: a: 123456789012345678901234567890"]).await;
    check(b"{ \"a\" : true , \"b\" : null }\n", &["1: a: true"]).await;
    check(b"{\"a\":-0.0,\"b\":\"\"}\n", &["1: a: -0.0, b:"]).await;
    check("{\"a\":\"\\u00e9\\n\\\"\",\"b\":\"é\"}\n".as_bytes(), &["1: a: é\n\", b: é"]).await;
}

#[tokio::test]
async fn keys_may_come_go_and_be_escaped() {
    check(b"{\"a\":1}\n{}\n{\"c\":3,\"a\":1}\n", &["1: a: 1", "2:", "3: a: 1, c: 3"]).await;
    check(b"{\"x\\ty\":1.50,\"a\" :2.0}\n", &["1: a: 2.0, x\ty: 1.50"]).await;
    check(b"{\"a\":{\"k\":\"}\"}, \"\\u0062\":1.0}\n", &["1: a: {\"k\":\"}\"}, b: 1.0"]).await;
    check(b"\n  \n{\"a\":1}\n\r\n", &["3: a: 1"]).await;
    check(b"", &[]).await;
    check(b"\xEF\xBB\xBF{\"a\":1}\n", &["1: a: 1"]).await;
}

#[tokio::test]
async fn nested_values_are_text_where_the_table_says_nothing() {
    check(
        b"{\"a\":[1, 2.0]}\n{\"a\":{\"x\":[{}]}}\n{\"a\":5}\n",
        &["1: 2.0], a: [1", "2: a: {\"x\":[{}]}", "3: a: 5"],
    )
    .await;
    let deep = format!("{{\"a\":{}1{}}}\n", "[".repeat(100), "]".repeat(100));
    let expected = format!("1: a: {}1{}", "[".repeat(100), "]".repeat(100));
    check(deep.as_bytes(), &[&expected]).await;
}

/// What a nested value becomes is decided where all other values are converted, so it has to arrive as it was written.
#[tokio::test]
async fn nested_values_are_text_whatever_the_tables_type() {
    check_typed(
        &[("a", "list<int64>"), ("b", "struct<x: string, y: int64>")],
        b"{\"a\":[1.9],\"b\":{\"x\":1.50,\"z\":2}}\n{\"a\":null}\n{\"a\":[]}\n{\"a\":\"no\"}\n",
        &["1: a: [1.9], b: {\"x\":1.50,\"z\":2}", "2:", "3: a: []", "4: a: no"],
    )
    .await;
}

#[tokio::test]
async fn malformed_lines_are_set_apart() {
    for (line, reason) in [
        (&b"{\"a\"::1}"[..], "expected value"),
        (b"{\"a\" 1}", "expected `:`"),
        (b"{\"a\":1 \"b\":2}", "expected `,` or `}`"),
        (b"{\"a\":1,}", "trailing comma"),
        (b"{\"a\":1.}", "invalid number"),
        (b"{\"a\":-}", "invalid number"),
        (b"{\"a\":tru}", "expected ident"),
        (b"{\"a\":\"\t\"}", "control character"),
        (b"{\"a\":1", "EOF while parsing an object"),
        (b"{\"a\":}", "expected value"),
        (b"{\"a\":01}", "invalid number"),
        (b"{\"a\":NaN}", "expected value"),
        (b"{\"a\":1}{\"a\":2}", "trailing characters"),
        (b"[1]", "expected an object"),
        (b"5", "expected an object"),
        (b"{\"a\":1,\"a\":2}", "it holds the key `a` twice"),
        (b"{\"a\":\"\\x\"}", "invalid escape"),
        (b"{a:1}", "key must be a string"),
        (b"{\"a\":\"\xe9\"}", "it is not valid UTF-8"),
    ] {
        // Twice, so that what the first one has taught is used on the second one.
        let content = [b"{\"a\":1}\n", line, b"\n{\"a\":3}\n", line, b"\n"].concat();
        for block_bytes in [1, 1 << 20] {
            let rows = read(&content, &[("a", "int64")], block_bytes).await.unwrap();
            let text = String::from_utf8_lossy(line);
            assert_eq!((rows[0].as_str(), rows[2].as_str()), ("1: a: 1", "3: a: 3"), "{text}");
            assert!(rows[1].starts_with("2: ! ") && rows[3].starts_with("4: ! "), "{rows:?}");
            assert!(
                rows[1].contains(reason) && rows[1].ends_with(&format!("<{text}>")),
                "{rows:?}: {reason}"
            );
            assert!(
                !rows[1].contains("line 1"),
                "the place inside the parser means nothing to people: {rows:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_array_is_named_as_such() {
    let error = read(b"[\n{\"a\":1}\n]\n", &[], 1 << 20).await.unwrap_err();
    assert!(error.contains("one JSON array"), "{error}");
}
