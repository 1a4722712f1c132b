//! Options: every problem is reported, with its place and the way out.

use millstream_connector::ConnectorFactory;
use millstream_connectors::{FilesFactory, connectors};
use serde_json::{Value, json};

fn problems(options: &Value) -> Vec<String> {
    let Err(problems) = FilesFactory.validate(options, None) else { return Vec::new() };
    let text = |problem: &millstream_connector::OptionProblem| {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", problem.path.join("."), problem.message)
    };
    problems.iter().map(text).collect()
}

fn check(options: &Value, expected: &[&str]) {
    assert_eq!(problems(options), expected, "{options}");
}

#[test]
fn good_options() {
    for options in [
        json!({"path": "data/*.csv"}),
        json!({"path": "data/x", "format": "csv", "csv": {"delimiter": "\\t", "quote": false, "header": true}}),
        json!({"path": "a.parquet", "on_change": "append", "settle": "500ms"}),
        json!({"path": "s3://bucket/a/*.csv", "storage": {"aws_endpoint": "http://x", "aws_allow_http": true}}),
        json!({"path": "gs://bucket/*.avro"}),
        json!({"path": "abfss://container@account.dfs.core.windows.net/a.csv"}),
        json!({"path": "https://example.com/a.csv.gz"}),
        json!({"path": "file:///tmp/a.csv"}),
        json!({"path": "a.csv", "encoding": "latin1", "csv": {"columns": ["a", "b"], "skip_rows": 2}}),
        json!({"path": "a.parquet", "rename": {"Order ID": "order_id"}}),
    ] {
        check(&options, &[]);
    }
}

#[test]
fn every_problem_is_reported() {
    check(&json!({}), &[": `path` is missing (write `path: data/orders/*.csv`)"]);
    check(
        &json!({"path": "a.csv", "formt": "csv", "settle": "soon", "csv": {"delimeter": ";", "quote": "ab"}}),
        &[
            "csv.quote: `quote` must be one ASCII character, or false for none",
            "csv.delimeter: unknown option `delimeter` (did you mean `delimiter`?)",
            "settle: `settle` must be a length of time such as `2s`, or 0",
            "formt: unknown option `formt` (did you mean `format`?)",
        ],
    );
    check(
        &json!({"path": "a.csv", "format": "cvs", "on_change": 5}),
        &[
            "format: `cvs` is not a `format`: it is one of csv, jsonl, parquet, avro (did you mean `csv`?)",
            "on_change: `on_change` must be one of replace, append",
        ],
    );
    check(
        &json!("a.csv"),
        &[
            ": options are a mapping of names to values",
            ": `path` is missing (write `path: data/orders/*.csv`)",
        ],
    );
}

#[test]
fn encodings_and_names_that_cannot_work() {
    check(
        &json!({"path": "a.csv", "encoding": "utf16le"}),
        &["encoding: `utf16le` is no encoding that can be read (did you mean `utf-16le`?)"],
    );
    check(
        &json!({"path": "a.parquet", "encoding": "latin1"}),
        &["encoding: `encoding` has no meaning for this format"],
    );
    check(
        &json!({"path": "a.csv", "rename": {"a": "x", "b": "x"}}),
        &["rename: two columns are renamed to `x`"],
    );
}

#[test]
fn paths_that_cannot_work() {
    check(
        &json!({"path": "s4://bucket/a.csv"}),
        &["path: `s4://` is not a place that files can be read from (did you mean `s3://`?)"],
    );
    check(
        &json!({"path": "https://user:secret@example.com/a.csv"}),
        &["path: a URL may not hold credentials (put them under `storage`, as `${VAR}`)"],
    );
    check(
        &json!({"path": "https://example.com/a.csv?token=1"}),
        &["path: a URL with a query cannot be read (download the file, or leave the query out)"],
    );
    check(
        &json!({"path": "https://example.com/*.csv"}),
        &["path: a web address cannot have wildcards (web servers do not list files: name one file)"],
    );
    check(
        &json!({"path": "s3://bucket"}),
        &["path: the URL names no file (write `s3://bucket/folder/*.csv`)"],
    );
    check(
        &json!({"path": "data/a.txt"}),
        &[
            "path: the name `data/a.txt` does not tell the format (add `format:` with one of csv, jsonl, parquet, avro)",
        ],
    );
    check(
        &json!({"path": "data/[a.csv"}),
        &["path: `data/[a.csv` is not a pattern: unclosed character class; missing ']'"],
    );
    check(
        &json!({"path": "data/*.csv", "storage": {"aws_region": "x"}}),
        &[
            "storage.aws_region: unknown storage option `aws_region` (`storage` is for URLs such as s3://; this path is local)",
        ],
    );
    check(
        &json!({"path": "s3://b/*.csv", "storage": {"aws_regoin": "x"}}),
        &[
            "storage.aws_regoin: unknown storage option `aws_regoin` (as in `aws_endpoint`, `aws_region`, `aws_access_key_id`)",
        ],
    );
}

#[test]
fn secrets_do_not_show() {
    let options = json!({"path": "s3://b/*.csv", "storage": {"aws_secret_access_key": "hunter2", "aws_access_key_id": "user"}});
    let config = FilesFactory.validate(&options, None).unwrap();
    let context = millstream_connector::BuildContext::new(".".into());
    let connector = config.build(&context).unwrap();
    for shown in [format!("{config:?}"), format!("{connector:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("\"user\""), "{shown}");
    }
}

#[test]
fn the_schema_names_every_option() {
    let schema = FilesFactory.schema();
    let properties: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        properties,
        ["path", "format", "encoding", "csv", "rename", "on_change", "settle", "block_bytes", "storage"]
    );
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(connectors().iter().map(|factory| factory.kind()).collect::<Vec<_>>(), ["files"]);
}
