//! The options as people write them, for the JSON Schema alone; `options.rs` reads and checks them.

use schemars::JsonSchema;

/// `connector: {type: files, …}`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct FilesOptions {
    /// A path relative to the project's folder, an absolute path, or a URL (`s3://`, `gs://`, `az://`,
    /// `https://`, `file://`). `*`, `**`, `?`, `[…]` and `{a,b}` match many files.
    path: String,
    /// How rows are written. Told by the file's name when absent; `.gz` and `.zst` are decompressed.
    format: Option<FormatWord>,
    /// The encoding of CSV and JSON lines files, by the name that browsers know: `latin1`, `windows-1252`,
    /// `utf-16le`, `shift_jis`. UTF-8 by default.
    encoding: Option<String>,
    /// How CSV files are written.
    csv: Option<CsvOptions>,
    /// Columns that the table is to have under other names, by their names in the files.
    rename: Option<std::collections::BTreeMap<String, String>>,
    /// What a changed file does: its rows replace those that came from it (the default), or are added.
    #[schemars(default)]
    on_change: Option<OnChangeWord>,
    /// A file younger than this is looked at twice, in case it is still being written. Default `2s`; 0 turns
    /// the second look off.
    settle: Option<SettleValue>,
    /// Size in bytes of the pieces in which text is decoded in parallel.
    #[schemars(range(min = 1, max = 67_108_864))]
    block_bytes: Option<usize>,
    /// Options of the object store, named like its environment variables: `aws_endpoint`, `aws_region`, …
    storage: Option<std::collections::BTreeMap<String, TextValue>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum FormatWord {
    Csv,
    Jsonl,
    Parquet,
    Avro,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum OnChangeWord {
    Replace,
    Append,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum SettleValue {
    Span(String),
    Ms(u64),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum TextValue {
    Text(String),
    Flag(bool),
    Number(f64),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct CsvOptions {
    /// One character between fields; `,` by default, a tab for `.tsv`.
    delimiter: Option<String>,
    /// Whether the first record names the columns; true by default.
    header: Option<bool>,
    /// The columns' names, in the place of the header's where there is one.
    columns: Option<Vec<String>>,
    /// Lines at the start of a file that come before its header and belong to no table; 0 by default.
    skip_rows: Option<usize>,
    /// One character around fields that hold delimiters or line ends; `"` by default, false for none.
    quote: Option<QuoteValue>,
    /// A character that takes the meaning from the next one inside quotes; none by default.
    escape: Option<String>,
    /// Lines that start with this character are skipped; none by default.
    comment: Option<String>,
    /// Unquoted texts that mean null, besides the empty one.
    null_values: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum QuoteValue {
    Character(String),
    None(bool),
}
