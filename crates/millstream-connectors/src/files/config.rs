//! `connector: {type: files, …}`: from the options as written to a connector.

use std::{path::Path, sync::Arc};

use encoding_rs::{Encoding, UTF_8};
use millstream_connector::{
    BuildContext, ConnectionFactory, Connector, ConnectorConfig, ConnectorError, ConnectorFactory,
    NamedConnection, OptionProblem, OptionProblems, nearest, options_schema, read_options,
};
use millstream_types::Span;
use serde_json::Value;

use super::{
    connection::{FilesConnection, FilesConnectionConfig, FilesConnectionFactory},
    connector::FilesConnector,
    csv::CsvDialect,
    encoding::encoding_by_name,
    format::{FORMATS, Format, format_by_name},
    options::{CsvOptions, FilesOptions, OnChange, OneCharacter, Storage, storage},
    pattern::Pattern,
    place::{Place, Remote},
    pump::RECORD_BYTES_MAX,
    rename::Renaming,
    store::{StoreKind, open_store},
    tables::tables,
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
    /// Whether the delimiter was stated, so that a `.tsv` does not choose its own.
    pub(super) delimiter_given: bool,
    pub(super) on_change: OnChange,
    pub(super) settle: Span,
    pub(super) block_bytes: usize,
    access: Access,
    /// Names in the files, and those that the table has instead.
    pub(super) rename: Arc<Renaming>,
}

/// Where the path leads.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Local,
    Remote { kind: StoreKind, base: String },
}

/// The client by which the files are read.
#[derive(Clone, Debug)]
enum Access {
    /// A client of the source's own.
    Own(Storage),
    /// The client of the connection with this name.
    Shared(String),
}

impl ConnectorFactory for FilesFactory {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn schema(&self) -> Value {
        options_schema::<FilesOptions>()
    }

    fn connection(&self) -> Option<&dyn ConnectionFactory> {
        Some(&FilesConnectionFactory)
    }

    fn lists_files(&self) -> bool {
        true
    }

    fn options_of_file(&self, path: &str) -> Option<Value> {
        // A file that the user names himself is finished, so there is no wait for it to settle.
        Some(serde_json::json!({"path": path, "settle": 0}))
    }

    fn validate(
        &self,
        options: &Value,
        connection: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        let (options, mut problems) = read_options::<FilesOptions>(options);
        let config = options.and_then(|options| FilesConfig::new(options, connection, &mut problems));
        problems.result(config).map(|config| Box::new(config) as Box<dyn ConnectorConfig>)
    }

    fn tables(
        &self,
        options: &Value,
        connection: Option<NamedConnection<'_>>,
        project_root: &Path,
    ) -> Result<Vec<String>, OptionProblem> {
        tables(options, connection, project_root)
    }
}

impl ConnectorConfig for FilesConfig {
    fn build(&self, context: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError> {
        let place = match &self.target {
            Target::Local => Place::Local { root: context.project_root.clone() },
            Target::Remote { kind, base } => {
                let shared = match &self.access {
                    Access::Own(_) => None,
                    Access::Shared(name) => context.connection::<FilesConnection>(name)?.store.clone(),
                };
                let store = match (shared, &self.access) {
                    (Some(store), _) => store,
                    (None, Access::Own(storage)) => open_store(*kind, base, storage)?,
                    (None, Access::Shared(name)) => {
                        let message = format!("the connection `{name}` leads to a folder, not to `{base}`");
                        return Err(ConnectorError::Options { message, hint: None });
                    }
                };
                Place::Remote(Remote { store, kind: *kind, base: base.clone() })
            }
        };
        Ok(Arc::new(FilesConnector::new(place, self.clone())))
    }
}

impl FilesConfig {
    /// The checked options; `None` only together with a problem.
    fn new(
        options: FilesOptions,
        connection: Option<NamedConnection<'_>>,
        problems: &mut OptionProblems,
    ) -> Option<Self> {
        let FilesOptions {
            path,
            format,
            encoding,
            csv,
            rename,
            on_change,
            settle,
            block_bytes,
            storage: stored,
        } = options;
        let encoding = encoding.as_deref().and_then(|name| read_encoding(name, problems));
        let csv_given = csv.is_some();
        let delimiter_given = csv.as_ref().is_some_and(|csv| csv.delimiter.is_some());
        let csv = dialect(csv.unwrap_or_default(), problems);
        let rename: Vec<_> = rename.unwrap_or_default().into_iter().map(|(from, to)| (from, to.0)).collect();
        check_rename(&rename, problems);
        if block_bytes.is_some_and(|bytes| bytes == 0 || bytes > RECORD_BYTES_MAX) {
            let message = format!("`block_bytes` must be between 1 and {RECORD_BYTES_MAX}");
            problems.add(&["block_bytes"], message, None);
        }
        let storage = storage(stored);
        let (target, text) = target_of(&path.0, connection, problems)?;
        let access = match connection {
            Some(connection) => {
                check_no_storage(&storage, problems);
                Access::Shared(connection.name.to_owned())
            }
            None => {
                check_storage(&target, &storage, problems);
                Access::Own(storage)
            }
        };
        let pattern = match Pattern::new(&text) {
            Ok(pattern) => pattern,
            Err(reason) => {
                problems.add(&["path"], format!("`{text}` is not a pattern: {reason}"), None);
                return None;
            }
        };
        check_pattern(&target, &pattern, format, problems);
        let format_known = format.or_else(|| format_by_name(pattern.text()));
        if csv_given && format_known.is_some_and(|format| format != Format::Csv) {
            problems.add(&["csv"], "`csv` options have no meaning for this format", None);
        }
        check_encoding(encoding, format_known, problems);
        Some(Self {
            target,
            pattern,
            format,
            encoding: encoding.unwrap_or(UTF_8),
            csv,
            delimiter_given,
            on_change: on_change.unwrap_or(OnChange::Replace),
            settle: settle.map_or(SETTLE, |settle| settle.0),
            block_bytes: block_bytes.unwrap_or(BLOCK_BYTES),
            access,
            rename: Arc::new(Renaming::new(rename)),
        })
    }
}

fn dialect(csv: CsvOptions, problems: &mut OptionProblems) -> CsvDialect {
    let defaults = CsvDialect::default();
    let byte = |character: OneCharacter| character.0;
    let dialect = CsvDialect {
        delimiter: csv.delimiter.map_or(defaults.delimiter, byte),
        quote: csv.quote.map_or(defaults.quote, |quote| quote.0),
        escape: csv.escape.map(byte),
        comment: csv.comment.map(byte),
        header: csv.header.unwrap_or(defaults.header),
        columns: csv.columns.unwrap_or_default(),
        skip_rows: csv.skip_rows.unwrap_or_default(),
        line_end: defaults.line_end,
        null_values: csv.null_values.unwrap_or_default(),
    };
    for (index, name) in dialect.columns.iter().enumerate() {
        if dialect.columns[..index].contains(name) {
            problems.add(&["csv", "columns"], format!("`{name}` is named twice"), None);
        }
    }
    if Some(dialect.delimiter) == dialect.quote || Some(dialect.delimiter) == dialect.escape {
        problems.add(&["csv", "delimiter"], "`delimiter`, `quote` and `escape` must differ", None);
    }
    dialect
}

fn read_encoding(name: &str, problems: &mut OptionProblems) -> Option<&'static Encoding> {
    let encoding = encoding_by_name(name);
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
        let hint = match nearest(name, known.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("encodings have the names that browsers know, such as {}", known.join(", ")),
        };
        problems.add(&["encoding"], format!("`{name}` is no encoding that can be read"), Some(hint));
    }
    encoding
}

fn check_encoding(encoding: Option<&Encoding>, format: Option<Format>, problems: &mut OptionProblems) {
    if encoding.is_some() && format.is_some_and(|format| !format.is_text()) {
        problems.add(&["encoding"], "`encoding` has no meaning for this format", None);
    }
}

fn check_rename(pairs: &[(String, String)], problems: &mut OptionProblems) {
    for (index, (_, to)) in pairs.iter().enumerate() {
        if pairs.iter().take(index).any(|(_, other)| other == to) {
            problems.add(&["rename"], format!("two columns are renamed to `{to}`"), None);
        }
    }
}

/// Where a source's path leads, and the path in that place.
pub(super) fn target_of(
    path: &str,
    connection: Option<NamedConnection<'_>>,
    problems: &mut OptionProblems,
) -> Option<(Target, String)> {
    let Some(connection) = connection else { return read_target(path, false, problems) };
    let Some(config) = connection.config::<FilesConnectionConfig>() else {
        let message = format!("the connection `{}` does not lead to files", connection.name);
        problems.add(&[], message, None);
        return None;
    };
    if path.contains("://") || path.starts_with('/') || path.split('/').any(|part| part == "..") {
        let message = format!("the path does not start at the connection `{}`", connection.name);
        let hint = "write it as it goes on from there, as in `path: orders/*.csv`, or leave `connection` out";
        problems.add(&["path"], message, Some(hint.to_owned()));
        return None;
    }
    Some((config.target.clone(), config.join(path)))
}

/// Splits a URL into the store and the path in it; a path without a scheme is local. A folder may be the store's root.
pub(super) fn read_target(
    path: &str,
    is_folder: bool,
    problems: &mut OptionProblems,
) -> Option<(Target, String)> {
    let Some((scheme, rest)) = path.split_once("://") else {
        return Some((Target::Local, path.to_owned()));
    };
    let Some(kind) = StoreKind::of_scheme(&scheme.to_ascii_lowercase()) else {
        let known = ["s3", "gs", "az", "abfss", "http", "https", "file"];
        let hint = nearest(scheme, known.into_iter()).map(|near| format!("did you mean `{near}://`?"));
        let hint =
            hint.unwrap_or_else(|| format!("known: {}", known.map(|name| format!("{name}://")).join(", ")));
        let message = format!("`{scheme}://` is not a place that files can be read from");
        problems.add(&["path"], message, Some(hint));
        return None;
    };
    let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
    let mut problem = |message: &str, hint: &str| {
        problems.add(&["path"], message, Some(hint.to_owned()));
        None
    };
    if kind == StoreKind::Http && path.contains(['?', '#']) {
        return problem("a URL with a query cannot be read", "download the file, or leave the query out");
    }
    if host.contains('@') && kind != StoreKind::Azure {
        return problem("a URL may not hold credentials", "put them under `storage`, as `${VAR}`");
    }
    if (key.is_empty() && !is_folder) || (host.is_empty() != (kind == StoreKind::File)) {
        return problem("the URL names no file", "write `s3://bucket/folder/*.csv`");
    }
    Some((Target::Remote { kind, base: format!("{}://{host}", scheme.to_ascii_lowercase()) }, key.to_owned()))
}

/// Refuses options of the store beside a connection, since files are read with the connection's credentials.
fn check_no_storage(storage: &Storage, problems: &mut OptionProblems) {
    if !storage.is_empty() {
        let hint = "move the options into the file of the connection".to_owned();
        problems.add(&["storage"], "`storage` belongs to the connection", Some(hint));
    }
}

pub(super) fn check_storage(target: &Target, storage: &Storage, problems: &mut OptionProblems) {
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
            problems.add(&["storage", name], format!("unknown storage option `{name}`"), Some(hint));
        }
    }
}

fn check_pattern(target: &Target, pattern: &Pattern, format: Option<Format>, problems: &mut OptionProblems) {
    let http = matches!(target, Target::Remote { kind: StoreKind::Http, .. });
    if http && !pattern.is_literal() {
        let hint = Some("web servers do not list files: name one file".into());
        problems.add(&["path"], "a web address cannot have wildcards", hint);
    }
    if format.is_none() && pattern.is_literal() && format_by_name(pattern.text()).is_none() {
        let words = FORMATS.join(", ");
        let message = format!("the name `{}` does not tell the format", pattern.text());
        problems.add(&["path"], message, Some(format!("add `format:` with one of {words}")));
    }
}
