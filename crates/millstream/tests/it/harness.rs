//! Projects in temporary folders, and the binary run in them.

use std::{
    fs,
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
        self.command(arguments).output().unwrap()
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

    /// Standard output as one JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&self.output(arguments).stdout).unwrap()
    }
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
