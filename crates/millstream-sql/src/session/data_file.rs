//! Data files that are gone or damaged. The readers of files pass on only words, so the file is found in these.

use std::path::Path;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use millstream_types::TableName;

/// The end of the names of data files.
const ENDING: &str = ".parquet";
/// Words of stores and readers about a file that ends too early, or whose parts do.
const CUT: [&str; 2] = ["Out of range", "failed to fill whole buffer"];

/// Whether the words are about a file that is not there.
pub(super) fn is_gone(words: &str) -> bool {
    words.contains("not found") || words.contains("No such file")
}

/// Whether a file is there and cannot be read, now or later.
pub(super) fn is_damaged(error: &DataFusionError) -> bool {
    let root = error.find_root();
    let words = root.to_string();
    let is_cut = CUT.iter().any(|said| words.contains(said));
    match root {
        DataFusionError::ObjectStore(_) => is_cut,
        DataFusionError::ParquetError(_) => {
            let is_store = words.contains("Object Store error") || words.contains("External: ");
            is_cut || !(is_store || is_gone(&words))
        }
        DataFusionError::ArrowError(inner, _) => matches!(**inner, ArrowError::ParquetError(_)) && is_cut,
        _ => false,
    }
}

/// The whole path of the data file that an error's words name.
pub(super) fn named(words: &str) -> Option<String> {
    let is_path = |c: char| !c.is_whitespace() && !matches!(c, '"' | '`' | '\'' | ':' | ',');
    let files = || words.split(|c: char| !is_path(c)).filter(|word| word.ends_with(ENDING));
    let file = files().find(|word| word.starts_with('/')).or_else(|| files().next())?;
    // The store of local files names a file without the root.
    let whole = Path::new("/").join(file);
    let is_local = whole.parent().is_some_and(Path::is_dir);
    Some(if is_local { whole.display().to_string() } else { file.to_owned() })
}

/// What is wrong with a damaged file, from an error's words.
pub(super) fn damage(words: &str) -> String {
    if CUT.iter().any(|said| words.contains(said)) {
        return "it does not hold what its table says".into();
    }
    words.rsplit_once("rror: ").map_or(words, |(_, last)| last).trim_end_matches('.').to_owned()
}

/// The table to which a file belongs: files lie in `<schema>/<table>/`, perhaps in folders of partitions.
pub(super) fn table_of(file: &str) -> Option<TableName> {
    let mut folders = file.rsplit('/').skip(1).skip_while(|folder| folder.contains('='));
    let table = folders.next()?;
    TableName::new(folders.next()?, table).ok()
}

/// The way to get the rows of a lost file back.
pub(super) fn remedy(file: Option<&str>) -> String {
    let table = file.and_then(table_of).filter(|table| !table.is_rejected());
    let again = match &table {
        Some(table) if table.schema() == "bronze" => {
            format!("land its source again with `millstream run --full-refresh source:{}`", table.name())
        }
        Some(table) => format!("make its table anew with `millstream run --full-refresh {table}`"),
        None => "make its table anew with `millstream run --full-refresh <table>`".to_owned(),
    };
    format!("bring it back from a backup, or {again}")
}

/// The message about a damaged file.
pub(super) fn told(file: Option<&str>, damage: &str) -> String {
    let of = file.and_then(table_of).map(|table| format!(" of `{table}`")).unwrap_or_default();
    match file {
        Some(file) => format!("the data file `{file}`{of} is damaged: {damage}"),
        None => format!("a data file is damaged: {damage}"),
    }
}
