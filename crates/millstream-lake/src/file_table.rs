//! Delta tables outside the lake, of which each version is a single Parquet file that was written by others.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use futures::future::BoxFuture;
use millstream_types::{TableName, TimestampMicros};
use parquet::{
    arrow::parquet_to_arrow_schema,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};

use crate::{
    Lake,
    change::{Operation, TableChange},
    collect,
    commit::blocking,
    delta::FilePath,
    encoding,
    error::{LakeError, Result},
    file::{DataFile, StagedFile},
    snapshot::{At, Snapshot},
};

/// How many times a publication is tried while others keep coming first.
const TURNS_MAX: usize = 8;

/// A Delta table in a folder of its own on this machine. Each version is one Parquet file, which lies in the folder
/// before it is published.
#[derive(Debug)]
pub struct FileTable {
    lake: Lake,
    folder: PathBuf,
    name: TableName,
    /// The name by which the log knows who writes the table.
    writer: String,
}

impl FileTable {
    /// Opens the table in `folder`, an absolute path; the folder may hold no table yet. Errors call the table `name`, and
    /// `writer` tells it from tables of others.
    ///
    /// # Errors
    ///
    /// The folder holds a Delta table that another wrote, or its log cannot be read.
    pub fn open<'a>(folder: &'a Path, name: &'a TableName, writer: String) -> BoxFuture<'a, Result<Self>> {
        Box::pin(async move {
            let table =
                Self { lake: Lake::of_table(folder)?, folder: folder.to_owned(), name: name.clone(), writer };
            table.newest().await?;
            Ok(table)
        })
    }

    /// Makes `file`, which lies in the folder, all that the table has, and returns the table's version. Older versions
    /// stay readable. Where the newest version is this file already, nothing is written. `unbounded` names columns that
    /// may hold a NaN, which the file's footer does not tell and which its smallest and largest values leave out.
    ///
    /// # Errors
    ///
    /// The file's columns are none of Delta's, others keep changing the table, or the file or the log cannot be read
    /// or written.
    pub fn publish<'a>(
        &'a self,
        file: &'a str,
        unbounded: &'a [&'a str],
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let mut turns = TURNS_MAX;
            loop {
                turns -= 1;
                match self.publish_once(file, unbounded, at).await {
                    // Another publication came first, and this one follows it.
                    Err(LakeError::Conflict { .. } | LakeError::AlreadyCommitted { .. }) if turns > 0 => {}
                    published => return published,
                }
            }
        })
    }

    async fn publish_once(&self, file: &str, unbounded: &[&str], at: TimestampMicros) -> Result<i64> {
        let newest = self.newest().await?;
        let base = newest.as_ref().map(|(base, _)| base.as_ref());
        if let Some(base) = base.filter(|base| matches!(base.files(), [only] if only.path() == file)) {
            return Ok(base.version());
        }
        let path = self.folder.join(file);
        let shown = path.display().to_string();
        let (metadata, size) = blocking(shown, "read", move || footer(&path)).await?;
        let schema = self.schema(&metadata)?;
        let fields = schema.fields().iter();
        let nan: Vec<bool> = fields.map(|field| unbounded.contains(&field.name().as_str())).collect();
        let stats = collect::stats_json(&schema, &nan, &metadata);
        let file = DataFile::new(&self.name, FilePath::of(file), size, 0, true, Some(stats));
        let change = TableChange {
            add: vec![StagedFile(file)],
            remove: base.map_or_else(Vec::new, |base| base.files().to_vec()),
            schema: Some(schema),
            operation: Operation::Overwrite,
            txns: vec![(self.writer.clone(), newest.as_ref().map_or(0, |(_, written)| written + 1))],
            at: Some(at),
            ..TableChange::default()
        };
        self.lake.commit(&self.name, base, change).await
    }

    /// The newest version, and how many versions this writer wrote before it.
    async fn newest(&self) -> Result<Option<(Arc<Snapshot>, i64)>> {
        let Some(newest) = self.lake.snapshot(&self.name, At::Latest).await? else { return Ok(None) };
        let Some(written) = newest.txn(&self.writer) else {
            let reason = "the folder holds a Delta table that others wrote".to_owned();
            return Err(LakeError::InvalidChange { table: self.name.clone(), reason });
        };
        Ok(Some((newest, written)))
    }

    fn schema(&self, metadata: &ParquetMetaData) -> Result<SchemaRef> {
        let file = metadata.file_metadata();
        let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata());
        let unfit = |reason| LakeError::Schema { table: self.name.clone(), reason };
        let schema = schema.map_err(|error| unfit(error.to_string()))?;
        match schema.fields().iter().find(|field| !is_of_delta(field.data_type())) {
            None => Ok(encoding::nullable(&schema)),
            Some(field) => Err(unfit(format!(
                "Delta has no type for column `{}`, which is {}",
                field.name(),
                field.data_type()
            ))),
        }
    }
}

fn footer(path: &Path) -> std::io::Result<(ParquetMetaData, u64)> {
    let file = File::open(path)?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(std::io::Error::other)?;
    Ok((metadata, file.metadata()?.len()))
}

/// Whether readers of Delta see the values of such a Parquet column as they are.
fn is_of_delta(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::Date32 => true,
        DataType::Decimal128(_, scale) => *scale >= 0,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => zone.eq_ignore_ascii_case("utc"),
        DataType::Dictionary(_, values) => is_of_delta(values),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            is_of_delta(field.data_type())
        }
        DataType::Struct(fields) => fields.iter().all(|field| is_of_delta(field.data_type())),
        _ => false,
    }
}
