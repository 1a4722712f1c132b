//! Any bytes: no panic, no lost line, and the same rows wherever the input is cut.

use millstream_connector::ReadRequest;
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::folder::{Folder, options, read_one};

fn read(
    name: &str,
    content: &[u8],
    block_bytes: usize,
    csv: Option<serde_json::Value>,
) -> Result<Vec<String>, String> {
    let folder = Folder::new();
    folder.write(name, content);
    let mut options = options(name);
    options["block_bytes"] = block_bytes.into();
    if let Some(csv) = csv {
        options["csv"] = csv;
    }
    Runtime::new().unwrap().block_on(read_one(&options, &folder, &ReadRequest::default()))
}

/// Bytes that mean something to a CSV reader, often enough.
fn nasty_csv() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just(b",".to_vec()),
        6 => Just(b"\n".to_vec()),
        4 => Just(b"\"".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\\".to_vec()),
        1 => Just(b"#".to_vec()),
        6 => "[a-c]{1,3}".prop_map(String::into_bytes),
        1 => Just("é".as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Rows that a CSV writer would write, with quotes where they are needed.
fn good_rows() -> impl Strategy<Value = Vec<Vec<String>>> {
    proptest::collection::vec(proptest::collection::vec("[a-z\",\n\r é]{0,6}", 3), 0..20)
}

/// Objects of two or three keys, some of them slightly wrong.
fn json_like_line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => "(0|-?[1-9][0-9]{0,3})(\\.[0-9]{1,2})?", 1 => "-?[0-9.eE+]{1,4}", 3 => "\"[a-z\t\\\\n\"é]{0,12}\"",
        3 => "\"[a-z ]{0,12}\"", 1 => "(true|false|null|nul|\\[1, 2\\]|\\{\"x\": \"\\}\"\\}|\\[|)",
    ];
    let colon = prop_oneof![8 => Just(":"), 1 => Just(" : "), 1 => Just("::"), 1 => Just("")];
    let comma = prop_oneof![8 => Just(","), 1 => Just(" , "), 1 => Just(",,"), 1 => Just("")];
    let end = prop_oneof![8 => Just("}"), 1 => Just(" }\r"), 1 => Just("}}"), 1 => Just("")];
    let key = prop_oneof![8 => "[ab]", 1 => "\\\\u006[12]", 1 => "[a-d]{0,2}"];
    let member = (key, colon, value).prop_map(|(key, colon, value)| format!("\"{key}\"{colon}{value}"));
    (proptest::collection::vec((member, comma), 0..4), end).prop_map(|(members, end)| {
        let count = members.len();
        let members = members.into_iter().enumerate();
        let text: String = members
            .map(|(i, (member, comma))| if i + 1 == count { member } else { member + comma })
            .collect();
        format!("{{{text}{end}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn csv_is_the_same_in_blocks_of_any_size(content in nasty_csv(), block_bytes in 1_usize..40) {
        let content = [b"a,b\n".as_slice(), &content].concat();
        for csv in [json!({}), json!({"comment": "#", "escape": "\\"})] {
            let whole = read("in.csv", &content, 1 << 20, Some(csv.clone()));
            let pieces = read("in.csv", &content, block_bytes, Some(csv));
            prop_assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn any_bytes_with_any_header_give_rows_or_an_error(content in nasty_csv(), block_bytes in 1_usize..40) {
        let whole = read("in.csv", &content, 1 << 20, None);
        prop_assert_eq!(whole, read("in.csv", &content, block_bytes, None));
    }

    #[test]
    fn every_line_of_csv_is_accounted_for(content in "[a-c,\n]{0,60}") {
        let rows = read("in.csv", format!("x,y\n{content}").as_bytes(), 7, None).unwrap();
        let lines: Vec<usize> = content.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(|(i, _)| i + 2).collect();
        let found: Vec<usize> = rows.iter().map(|row| row.split(':').next().unwrap().parse().unwrap()).collect();
        prop_assert_eq!(found, lines);
    }

    #[test]
    fn good_csv_is_read_as_the_csv_crate_reads_it(rows in good_rows(), block_bytes in 1_usize..40) {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let content = writer.into_inner().unwrap();
        let mut reader = csv::ReaderBuilder::new().from_reader(content.as_slice());
        let expected: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        let found = read("in.csv", &content, block_bytes, None).unwrap();
        let expected: Vec<String> = expected.iter().map(|row| {
            let values = ["a", "b", "c"].iter().zip(row).filter(|(_, value)| !value.is_empty());
            values.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ").trim_end().to_owned()
        }).collect();
        // An empty value that the writer has put into quotes is there, but its text is empty.
        let found: Vec<String> = found.iter().map(|row| {
            let (_, text) = row.split_once(':').unwrap();
            text.trim_start().to_owned()
        }).collect();
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!(found == expected || found.contains(": ,") || found.ends_with(':'), "{} {}", found, expected);
        }
    }

    #[test]
    fn json_is_the_same_in_blocks_of_any_size(
        content in proptest::collection::vec(prop_oneof![
            Just("{".to_owned()), Just("}".to_owned()), Just("\"a\"".to_owned()), Just(":".to_owned()), Just(",".to_owned()),
            Just("\n".to_owned()), Just("{\"a\":1}\n".to_owned()), Just("{\"b\":\"x\",\"a\":[1]}\n".to_owned()),
            Just("1.5".to_owned()), Just("\\".to_owned()), Just("\"".to_owned()), "[ -~]{0,3}",
        ], 0..30),
        block_bytes in 1_usize..40,
    ) {
        let content = format!("{{}}\n{}", content.concat());
        let sorted = |rows: Result<Vec<String>, String>| rows.map(|rows| {
            rows.into_iter().map(|row| {
                let mut values: Vec<String> = row.split(", ").map(|value| value.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(": ").to_owned()).collect();
                values.sort();
                (row.split(':').next().unwrap().to_owned(), values)
            }).collect::<Vec<_>>()
        });
        let whole = sorted(read("in.jsonl", content.as_bytes(), 1 << 20, None));
        let pieces = sorted(read("in.jsonl", content.as_bytes(), block_bytes, None));
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn json_lines_teach_nothing_wrong(
        lines in proptest::collection::vec(json_like_line(), 0..12),
    ) {
        // In blocks of one byte every line is parsed on its own, by serde_json alone.
        let content = lines.join("\n");
        let sort = |rows: Vec<String>| rows.into_iter().map(|row| {
            // Blanks are trimmed behind an empty last value, whichever column that is.
            let mut letters: Vec<char> = row.chars().filter(|letter| *letter != ' ').collect();
            letters.sort_unstable();
            letters
        }).collect::<Vec<_>>();
        let together = sort(read("in.jsonl", content.as_bytes(), 1 << 20, None).unwrap());
        let alone = sort(read("in.jsonl", content.as_bytes(), 1, None).unwrap());
        prop_assert_eq!(together, alone);
    }

    #[test]
    fn any_bytes_as_any_format_give_rows_or_an_error(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in ["in.csv", "in.jsonl", "in.parquet", "in.avro", "in.csv.gz", "in.jsonl.zst"] {
            let _ = read(name, &content, 16, None);
        }
    }
}
