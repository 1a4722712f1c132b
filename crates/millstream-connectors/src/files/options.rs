//! The options as people write them: decoded from here, and described by the same types to editors. What they mean
//! together is judged in `config.rs`.

use std::{collections::BTreeMap, fmt};

use millstream_connector::{OptionText, Secret};
use millstream_types::{Span, is_secret_name};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use serde_json::Value;

use super::{format::Format, pump::RECORD_BYTES_MAX};

/// `connector: {type: files, …}`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesOptions {
    /// A path relative to the project's folder, an absolute path, or a URL (`s3://`, `gs://`, `az://`,
    /// `https://`, `file://`). `*`, `**`, `?`, `[…]` and `{a,b}` match many files. With a `connection`, the path starts at
    /// the connection's.
    #[schemars(with = "String", example = "data/orders/*.csv")]
    pub(super) path: PathText,
    /// How rows are written. Told by the file's name when absent; `.gz` and `.zst` are decompressed.
    pub(super) format: Option<Format>,
    /// The encoding of CSV and JSON lines files, by the name that browsers know: `latin1`, `windows-1252`,
    /// `utf-16le`, `shift_jis`. UTF-8 by default.
    pub(super) encoding: Option<String>,
    /// How CSV files are written.
    pub(super) csv: Option<CsvOptions>,
    /// Columns that the table is to have under other names, by their names in the files.
    pub(super) rename: Option<BTreeMap<String, OptionText>>,
    /// What a changed file does: its rows replace those that came from it (the default), or are added.
    pub(super) on_change: Option<OnChange>,
    /// A file younger than this is looked at twice, in case it is still being written. Default `2s`; 0 turns
    /// the second look off.
    #[schemars(with = "Option<String>", extend("type" = ["string", "integer", "null"]))]
    pub(super) settle: Option<SettleTime>,
    /// Size in bytes of the pieces in which text is decoded in parallel.
    #[schemars(range(min = 1, max = RECORD_BYTES_MAX))]
    pub(super) block_bytes: Option<usize>,
    /// Options of the object store, named like its environment variables: `aws_endpoint`, `aws_region`, …
    pub(super) storage: Option<BTreeMap<String, OptionText>>,
}

/// `connections/<name>.yaml` with `type: files`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesConnectionOptions {
    /// The folder, bucket or web address at which the paths of the sources start: `s3://bucket/exports`,
    /// `https://host/data`, `/mnt/exports`.
    #[schemars(with = "String", example = "s3://bucket/exports")]
    pub(super) path: PathText,
    /// Options of the object store, named like its environment variables: `aws_endpoint`, `aws_region`, …
    pub(super) storage: Option<BTreeMap<String, OptionText>>,
}

/// What becomes of the rows of a file whose content is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnChange {
    Replace,
    Append,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CsvOptions {
    /// One character between fields; `,` by default, a tab for `.tsv`.
    #[schemars(with = "Option<String>")]
    pub(super) delimiter: Option<OneCharacter>,
    /// Whether the first record names the columns; true by default.
    pub(super) header: Option<bool>,
    /// The columns' names, in the place of the header's where there is one.
    pub(super) columns: Option<Vec<String>>,
    /// Lines at the start of a file that come before its header and belong to no table; 0 by default.
    pub(super) skip_rows: Option<usize>,
    /// One character around fields that hold delimiters or line ends; `"` by default, false for none.
    #[schemars(with = "Option<String>", extend("type" = ["string", "boolean", "null"]))]
    pub(super) quote: Option<QuoteCharacter>,
    /// A character that takes the meaning from the next one inside quotes; none by default.
    #[schemars(with = "Option<String>")]
    pub(super) escape: Option<OneCharacter>,
    /// Lines that start with this character are skipped; none by default.
    #[schemars(with = "Option<String>")]
    pub(super) comment: Option<OneCharacter>,
    /// Unquoted texts that mean null, besides the empty one.
    pub(super) null_values: Option<Vec<String>>,
}

/// A path that is not empty.
#[derive(Debug)]
pub(super) struct PathText(pub(super) String);

impl<'de> Deserialize<'de> for PathText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a path or a URL, with `*` for many files", |value| {
            let path = value.as_str()?.trim();
            (!path.is_empty()).then(|| Self(path.to_owned()))
        })
    }
}

/// One ASCII character; a tab may be written `\t`.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneCharacter(pub(super) u8);

impl<'de> Deserialize<'de> for OneCharacter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "one ASCII character", |value| as_byte(value.as_str()?).map(Self))
    }
}

/// The character around fields; `None` where quotes are text.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuoteCharacter(pub(super) Option<u8>);

impl<'de> Deserialize<'de> for QuoteCharacter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "one ASCII character, or false for none", |value| match value {
            Value::Bool(false) => Some(Self(None)),
            Value::String(text) if text.is_empty() => Some(Self(None)),
            Value::String(text) => as_byte(text).map(|byte| Self(Some(byte))),
            _ => None,
        })
    }
}

/// A length of time that may be none at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct SettleTime(pub(super) Span);

impl<'de> Deserialize<'de> for SettleTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a length of time such as `2s`, or 0", |value| match value {
            Value::Number(number) if number.as_u64() == Some(0) => Some(Self(Span::from_ms(0))),
            Value::String(text) => text.parse().ok().map(Self),
            _ => None,
        })
    }
}

fn as_byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"\\t" => Some(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => None,
    }
}

fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(&Value) -> Option<T>,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    parse(&value).ok_or_else(|| D::Error::invalid_value(Unexpected::Other("another value"), &expected))
}

/// The value of a store's option. Debug output shows no value, and messages cover those that are credentials.
#[derive(Clone)]
pub(super) enum StorageValue {
    Plain(String),
    Secret(Secret),
}

impl StorageValue {
    pub(super) fn new(name: &str, OptionText(text): OptionText) -> Self {
        if is_secret_name(name) { Self::Secret(Secret::new(text)) } else { Self::Plain(text) }
    }

    pub(super) fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.reveal(),
        }
    }
}

impl fmt::Debug for StorageValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

/// The options of an object store by name.
pub(super) type Storage = Vec<(String, StorageValue)>;

pub(super) fn storage(options: Option<BTreeMap<String, OptionText>>) -> Storage {
    let options = options.unwrap_or_default().into_iter();
    options.map(|(name, text)| (name.clone(), StorageValue::new(&name, text))).collect()
}
