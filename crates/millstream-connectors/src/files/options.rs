//! The options of `connector: {type: files, …}`.

use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8};
use millstream_connector::{
    BuildContext, Connector, ConnectorConfig, ConnectorError, ConnectorFactory, OptionProblem, OptionReader,
    Secret, nearest,
};
use millstream_types::Span;
use schemars::schema_for;
use serde_json::Value;

use super::{
    connector::FilesConnector,
    csv::CsvDialect,
    encoding::encoding_by_name,
    format::{FORMATS, Format, format_by_name},
    pattern::Pattern,
    place::{Place, Remote},
    pump::RECORD_BYTES_MAX,
    rename::Renaming,
    schema::FilesOptions,
    store::{StoreKind, open_store},
};

/// Text is decoded in pieces of this size unless the options say otherwise: large enough to keep the cost per
/// piece small, small enough for a piece and its columns to stay in a core's cache.
const BLOCK_BYTES: usize = 1 << 20;
const SETTLE: Span = Span::from_ms(2_000);

/// Files in a folder, on a web server or in an object store.
#[derive(Clone, Copy, Debug)]
pub struct FilesFactory;

/// Checked options.
#[derive(Clone, Debug)]
pub(super) struct FilesConfig {
    pub(super) target: Target,
    pub(super) pattern: Pattern,
    pub(super) format: Option<Format>,
    pub(super) encoding: &'static Encoding,
    pub(super) csv: CsvDialect,
    /// The delimiter was stated, so that a `.tsv` does not choose its own.
    pub(super) delimiter_given: bool,
    pub(super) on_change: OnChange,
    pub(super) settle: Span,
    pub(super) block_bytes: usize,
    pub(super) storage: Vec<(String, Secret)>,
    /// Names in the files, and those that the table has instead.
    pub(super) rename: Arc<Renaming>,
}

/// Where the path leads.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Local,
    Remote { kind: StoreKind, base: String },
}

/// What becomes of the rows of a file whose content is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnChange {
    Replace,
    Append,
}

impl ConnectorFactory for FilesFactory {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn schema(&self) -> Value {
        schema_for!(FilesOptions).into()
    }

    fn options_of_file(&self, path: &str) -> Option<Value> {
        // Nobody waits for a file that he names himself.
        Some(serde_json::json!({"path": path, "settle": 0}))
    }

    fn validate(&self, options: &Value) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        let mut reader = OptionReader::new(options);
        let config = FilesConfig::read(&mut reader);
        let problems = reader.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Box::new(config)),
            _ => Err(problems),
        }
    }
}

impl ConnectorConfig for FilesConfig {
    fn build(&self, context: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError> {
        let place = match &self.target {
            Target::Local => Place::Local { root: context.project_root.clone() },
            Target::Remote { kind, base } => {
                let store = open_store(*kind, base, &self.storage)?;
                Place::Remote(Remote { store, kind: *kind, base: base.clone() })
            }
        };
        Ok(Arc::new(FilesConnector::new(place, self.clone())))
    }
}

impl FilesConfig {
    /// `None` only together with a problem.
    fn read(reader: &mut OptionReader) -> Option<Self> {
        let path = reader.take::<String>("path", "a path or a URL, with `*` for many files");
        let format = reader.choice("format", &FORMATS);
        let encoding = read_encoding(reader);
        let csv = reader.nested("csv", read_csv);
        let on_change =
            reader.choice("on_change", &[("replace", OnChange::Replace), ("append", OnChange::Append)]);
        let settle = read_settle(reader);
        let block_bytes = reader.take::<usize>("block_bytes", "a number of bytes");
        let storage = reader.texts("storage");
        let rename = read_rename(reader);

        let path = path.filter(|path| !path.trim().is_empty());
        if path.is_none() && !reader.is_faulty("path") {
            reader.problem(&[], "`path` is missing".into(), Some("write `path: data/orders/*.csv`".into()));
        }
        if block_bytes.is_some_and(|bytes| bytes == 0 || bytes > RECORD_BYTES_MAX) {
            let message = format!("`block_bytes` must be between 1 and {RECORD_BYTES_MAX}");
            reader.problem(&["block_bytes"], message, None);
        }
        let (target, text) = read_target(reader, path?.trim())?;
        check_storage(reader, &target, &storage);
        let pattern = match Pattern::new(&text) {
            Ok(pattern) => pattern,
            Err(reason) => {
                reader.problem(&["path"], format!("`{text}` is not a pattern: {reason}"), None);
                return None;
            }
        };
        check_pattern(reader, &target, &pattern, format);
        if csv.is_some()
            && format.or_else(|| format_by_name(pattern.text())).is_some_and(|f| f != Format::Csv)
        {
            reader.problem(&["csv"], "`csv` options have no meaning for this format".into(), None);
        }
        check_encoding(reader, encoding, format.or_else(|| format_by_name(pattern.text())));
        let (csv, delimiter_given) = csv.unwrap_or_default();
        Some(Self {
            target,
            pattern,
            format,
            encoding: encoding.unwrap_or(UTF_8),
            csv,
            delimiter_given,
            on_change: on_change.unwrap_or(OnChange::Replace),
            settle: settle.unwrap_or(SETTLE),
            block_bytes: block_bytes.unwrap_or(BLOCK_BYTES),
            storage: storage.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            rename: Arc::new(rename),
        })
    }
}

fn read_settle(reader: &mut OptionReader) -> Option<Span> {
    match reader.take::<Value>("settle", "a length of time such as `2s`")? {
        Value::Number(number) if number.as_u64() == Some(0) => Some(Span::from_ms(0)),
        value => {
            let settle = value.as_str().and_then(|text| text.parse().ok());
            if settle.is_none() {
                let message = "`settle` must be a length of time such as `2s`, or 0".into();
                reader.problem(&["settle"], message, None);
            }
            settle
        }
    }
}

/// The dialect, and whether the delimiter was stated.
fn read_csv(reader: &mut OptionReader) -> (CsvDialect, bool) {
    let defaults = CsvDialect::default();
    let delimiter = read_byte(reader, "delimiter");
    let quote = match reader.take::<Value>("quote", "one ASCII character, or false for none") {
        Some(Value::Bool(false)) => Some(None),
        Some(Value::String(text)) if text.is_empty() => Some(None),
        Some(Value::String(text)) => as_byte(&text).map(Some).or_else(|| {
            reader.problem(&["quote"], "`quote` must be one ASCII character, or false for none".into(), None);
            None
        }),
        Some(_) => {
            reader.problem(&["quote"], "`quote` must be one ASCII character, or false for none".into(), None);
            None
        }
        None => None,
    };
    let dialect = CsvDialect {
        delimiter: delimiter.unwrap_or(defaults.delimiter),
        quote: quote.unwrap_or(defaults.quote),
        escape: read_byte(reader, "escape"),
        comment: read_byte(reader, "comment"),
        header: reader.take("header", "true or false").unwrap_or(defaults.header),
        columns: reader.take("columns", "a list of names").unwrap_or_default(),
        skip_rows: reader.take("skip_rows", "a number of lines").unwrap_or_default(),
        line_end: defaults.line_end,
        null_values: reader.take("null_values", "a list of texts").unwrap_or_default(),
    };
    for (index, name) in dialect.columns.iter().enumerate() {
        if dialect.columns[..index].contains(name) {
            reader.problem(&["columns"], format!("`{name}` is named twice"), None);
        }
    }
    if Some(dialect.delimiter) == dialect.quote || Some(dialect.delimiter) == dialect.escape {
        reader.problem(&["delimiter"], "`delimiter`, `quote` and `escape` must differ".into(), None);
    }
    (dialect, delimiter.is_some())
}

fn read_encoding(reader: &mut OptionReader) -> Option<&'static Encoding> {
    let name = reader.take::<String>("encoding", "the name of an encoding")?;
    let encoding = encoding_by_name(&name);
    if encoding.is_none() {
        let known = [
            "utf-8",
            "utf-16le",
            "utf-16be",
            "latin1",
            "windows-1252",
            "iso-8859-15",
            "shift_jis",
            "gb18030",
        ];
        let hint = match nearest(&name, known.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("encodings have the names that browsers know, such as {}", known.join(", ")),
        };
        reader.problem(&["encoding"], format!("`{name}` is no encoding that can be read"), Some(hint));
    }
    encoding
}

fn check_encoding(reader: &mut OptionReader, encoding: Option<&Encoding>, format: Option<Format>) {
    if encoding.is_some() && format.is_some_and(|format| !format.is_text()) {
        reader.problem(&["encoding"], "`encoding` has no meaning for this format".into(), None);
    }
}

fn read_rename(reader: &mut OptionReader) -> Renaming {
    let pairs = reader.texts("rename");
    for (index, (_, to)) in pairs.iter().enumerate() {
        if pairs.iter().take(index).any(|(_, other)| other == to) {
            reader.problem(&["rename"], format!("two columns are renamed to `{to}`"), None);
        }
    }
    Renaming::new(pairs)
}

fn read_byte(reader: &mut OptionReader, key: &'static str) -> Option<u8> {
    let text = reader.take::<String>(key, "one ASCII character")?;
    let byte = as_byte(&text);
    if byte.is_none() {
        reader.problem(&[key], format!("`{key}` must be one ASCII character"), None);
    }
    byte
}

fn as_byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"\\t" => Some(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => None,
    }
}

/// Splits a URL into the store and the path in it; a path without a scheme is local.
fn read_target(reader: &mut OptionReader, path: &str) -> Option<(Target, String)> {
    let Some((scheme, rest)) = path.split_once("://") else {
        return Some((Target::Local, path.to_owned()));
    };
    let Some(kind) = StoreKind::of_scheme(&scheme.to_ascii_lowercase()) else {
        let known = ["s3", "gs", "az", "abfss", "http", "https", "file"];
        let hint = nearest(scheme, known.into_iter()).map(|near| format!("did you mean `{near}://`?"));
        let hint =
            hint.unwrap_or_else(|| format!("known: {}", known.map(|name| format!("{name}://")).join(", ")));
        reader.problem(
            &["path"],
            format!("`{scheme}://` is not a place that files can be read from"),
            Some(hint),
        );
        return None;
    };
    let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
    let mut problem = |message: &str, hint: &str| {
        reader.problem(&["path"], message.to_owned(), Some(hint.to_owned()));
        None
    };
    if kind == StoreKind::Http && path.contains(['?', '#']) {
        return problem("a URL with a query cannot be read", "download the file, or leave the query out");
    }
    if host.contains('@') && kind != StoreKind::Azure {
        return problem("a URL may not hold credentials", "put them under `storage`, as `${VAR}`");
    }
    if key.is_empty() || (host.is_empty() != (kind == StoreKind::File)) {
        return problem("the URL names no file", "write `s3://bucket/folder/*.csv`");
    }
    Some((Target::Remote { kind, base: format!("{}://{host}", scheme.to_ascii_lowercase()) }, key.to_owned()))
}

fn check_storage(reader: &mut OptionReader, target: &Target, storage: &[(String, String)]) {
    for (name, _) in storage {
        let known = match target {
            Target::Local => false,
            Target::Remote { kind, .. } => kind.knows_option(name),
        };
        if !known {
            let hint = match target {
                Target::Local => "`storage` is for URLs such as s3://; this path is local".to_owned(),
                Target::Remote { kind: StoreKind::S3, .. } => {
                    "as in `aws_endpoint`, `aws_region`, `aws_access_key_id`".to_owned()
                }
                Target::Remote { .. } => "names are those of the store's environment variables".to_owned(),
            };
            reader.problem(&["storage", name], format!("unknown storage option `{name}`"), Some(hint));
        }
    }
}

fn check_pattern(reader: &mut OptionReader, target: &Target, pattern: &Pattern, format: Option<Format>) {
    let http = matches!(target, Target::Remote { kind: StoreKind::Http, .. });
    if http && !pattern.is_literal() {
        let hint = Some("web servers do not list files: name one file".into());
        reader.problem(&["path"], "a web address cannot have wildcards".into(), hint);
    }
    if format.is_none() && pattern.is_literal() && format_by_name(pattern.text()).is_none() {
        let words = FORMATS.map(|(word, _)| word).join(", ");
        let message = format!("the name `{}` does not tell the format", pattern.text());
        reader.problem(&["path"], message, Some(format!("add `format:` with one of {words}")));
    }
}
