//! Projects in temporary folders, and the binary run in them.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// A folder that is removed at the end of the test.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn empty() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// A folder with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::empty();
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A Parquet file with the columns `id` (int64) and `note` (string).
    pub(crate) fn write_parquet(&self, path: &str, ids: &[i64]) {
        let notes: Vec<_> = ids.iter().map(|_| "p").collect();
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
        let notes: ArrayRef = Arc::new(StringArray::from(notes));
        let rows = RecordBatch::try_from_iter([("id", ids), ("note", notes)]).unwrap();
        let file = fs::File::create(self.path().join(path)).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }

    /// A call of the binary in the folder, away from the caller's own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("MILLSTREAM_ENVIRONMENT")
            .env_remove("MILLSTREAM_LOG")
            .env_remove("NO_COLOR");
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_plain(&output);
        output
    }

    /// Runs the binary and returns everything a user would see, with times, ids and the folder's path replaced.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let mut text =
            format!("exit: {}\n", output.status.code().map_or("signal".into(), |code| code.to_string()));
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                text.push_str(&format!("----- {name} -----\n{}", String::from_utf8_lossy(bytes)));
            }
        }
        text.replace(self.path().to_str().unwrap(), "[FOLDER]")
    }

    /// Standard output of a call that succeeds.
    pub(crate) fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} failed:\n{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The stored tables of a project with its lake on disk, tables of rejected rows included, in order of name.
    pub(crate) fn tables(&self) -> Vec<String> {
        let lake = self.path().join(".millstream/lake");
        let mut tables = Vec::new();
        for schema in fs::read_dir(&lake).unwrap() {
            for table in fs::read_dir(schema.unwrap().path()).unwrap() {
                let path = table.unwrap().path();
                if path.join("_delta_log").exists() {
                    let name = path.strip_prefix(&lake).unwrap().to_str().unwrap();
                    tables.push(name.replace('/', "."));
                }
            }
        }
        tables.sort();
        tables
    }

    /// Every row of a table as text, sorted. The columns are left out that differ between two projects that got the same
    /// files: when and by which run a row came in, and its number.
    pub(crate) fn rows(&self, table: &str) -> Vec<String> {
        let rows = self.json(&["query", &format!("SELECT * FROM {table}"), "--json"]);
        let rows = rows.as_array().unwrap_or_else(|| panic!("{table}: {rows}"));
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            let mut row = row.as_object().unwrap().clone();
            for column in ["_ingested_at", "_sequence", "_rejected_at", "_run", "_epoch"] {
                row.remove(column);
            }
            if !table.starts_with("bronze.") {
                // The column says where a row stood in a query's result, not in a file.
                row.remove("_position");
            }
            texts.push(serde_json::to_string(&row).unwrap());
        }
        texts.sort();
        texts
    }

    /// Standard output as one JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&self.output(arguments).stdout).unwrap()
    }
}

/// Asserts that nobody is shown a panic or how a value looks inside.
pub(crate) fn assert_plain(output: &Output) {
    for said in [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)) {
        for inside in ["panicked at", "Error {", "Error(", "Some(", "Err(", "Ok(", "RUST_BACKTRACE"] {
            assert!(!said.contains(inside), "`{inside}` is shown to a user:\n{said}");
        }
    }
}

/// Every table of `folder` has the same rows as in `other`, and `other` has no further table.
pub(crate) fn assert_same_tables(folder: &Folder, other: &Folder, tables: &[String], when: &str) {
    for table in tables {
        let (rows, others) = (folder.rows(table), other.rows(table));
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|row| those.binary_search(row).is_err()).take(3).cloned().collect()
        };
        assert!(
            rows == others,
            "{table} {when}: {} rows and {}\nonly in the first: {:#?}\nonly in the second: {:#?}",
            rows.len(),
            others.len(),
            only(&rows, &others),
            only(&others, &rows),
        );
    }
}

/// What `cargo xtask test` gives to suites that need a service or a program; a suite without it writes down why it
/// was skipped.
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
pub(crate) fn given(variable: &str, suite: &str, missing: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    if let Ok(skips) = std::env::var("MILLSTREAM_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(skips).unwrap();
        writeln!(file, "millstream: {suite} ({missing})").unwrap();
    }
    None
}

/// Compares with the kept snapshot; what differs from run to run is replaced before.
macro_rules! assert_said {
    ($text:expr) => {
        insta::with_settings!({
            filters => vec![
                (r"\b\d+(\.\d+)? (ms|s|min)\b( \d+ s)?", "[TIME]"),
                (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[RUN]"),
                (r#""elapsed_ms":\d+"#, r#""elapsed_ms":"[TIME]""#),
                (r"\b\d{4}-\d\d-\d\dT[0-9:.]+Z", "[INSTANT]"),
                (r"[\d,]+(\.\d+)? (kB|MB) freed", "[BYTES] freed"),
                // A rate is told of work that takes a tenth of a second.
                (r"  [\d,]+ rows/s", ""),
            ],
            omit_expression => true,
        }, { insta::assert_snapshot!($text) });
    };
}
pub(crate) use assert_said;

/// The smallest project that runs: one source of CSV files and one table.
pub(crate) const SMALL: &[(&str, &str)] = &[
    ("millstream.yaml", "name: small\n"),
    (
        "sources/orders.yaml",
        "connector: {type: files, path: data/*.csv}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   id: {type: int64, required: true, unique: true}\n\
        \x20   amount: {type: \"decimal(12,2)\", range: [0, 1000]}\n\
        \x20   day: {type: date}\n",
    ),
    (
        "tables/gold/totals.sql",
        "/*---\nmaterialize: table\n---*/\nSELECT day, count(*) AS orders, sum(amount) AS total\nFROM bronze.orders\nGROUP BY day\n",
    ),
    ("data/a.csv", "id,amount,day\n1,10.00,2026-01-01\n2,20.50,2026-01-01\n3,-1.00,2026-01-02\n"),
];
