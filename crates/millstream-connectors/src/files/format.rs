//! What a file holds, by its name.

use schemars::JsonSchema;
use serde::Deserialize;

/// How rows are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Csv,
    Jsonl,
    Parquet,
    Avro,
}

/// How the file as a whole is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The words of the option `format`.
pub(crate) const FORMATS: [&str; 4] = ["csv", "jsonl", "parquet", "avro"];

impl Format {
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Jsonl)
    }
}

/// The compression that a name's last suffix tells, and the name without it.
pub(super) fn compression(name: &str) -> (Compression, &str) {
    for (suffix, compression) in
        [(".gz", Compression::Gzip), (".zst", Compression::Zstd), (".zstd", Compression::Zstd)]
    {
        if let Some(end) = name.len().checked_sub(suffix.len())
            && name.get(end..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
        {
            return (compression, &name[..end]);
        }
    }
    (Compression::None, name)
}

/// The format that a name's extension tells, after the compression's suffix.
pub(super) fn format_by_name(name: &str) -> Option<Format> {
    let (_, name) = compression(name);
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => Format::Csv,
        "jsonl" | "ndjson" | "json" => Format::Jsonl,
        "parquet" => Format::Parquet,
        "avro" => Format::Avro,
        _ => return None,
    })
}

/// Whether a name says that fields are separated by tabs.
pub(super) fn is_tab_separated(name: &str) -> bool {
    compression(name).1.to_ascii_lowercase().ends_with(".tsv")
}
