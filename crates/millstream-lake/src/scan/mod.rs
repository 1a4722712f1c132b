//! Scans of data files that tell which file cannot be read, and whether it is damaged or its store is away.
//!
//! DataFusion's reader of Parquet passes on words: without the file where a page cannot be decoded, without the cause where a footer
//! cannot be fetched. So its parts are wrapped, from both sides. [`reader`] is below it, where bytes come from the store: it compares
//! what came with what was asked for, and finds out what a failed read means. [`morsels`] is above it, where rows come out: whatever
//! failed there, and is neither the store nor a computation, is damage of the file that was open. [`source`] puts the two into plans.

mod morsels;
mod reader;
mod source;

use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::{
    common::Result, config::TableParquetOptions, datasource::table_schema::TableSchema,
    error::DataFusionError,
};
use datafusion_datasource::{PartitionedFile, file::FileSource};
use millstream_types::TableName;
use object_store::ObjectStore;
use parquet::errors::ParquetError;

use crate::{DamagedFile, FileDamage, LakeError};

/// The source of scans over files that each carry a [`ScannedFile`]. Footers are kept in the cache of `session`.
pub(crate) fn source(
    session: &dyn datafusion::catalog::Session,
    store: Arc<dyn ObjectStore>,
    schema: TableSchema,
    options: TableParquetOptions,
) -> Arc<dyn FileSource> {
    source::DataFileSource::over(session, store, schema, options)
}

/// What a scan knows of a file that it reads.
#[derive(Debug)]
pub(crate) struct ScannedFile {
    pub(crate) table: TableName,
    /// The path from the table's folder, and `place` as people find the file.
    pub(crate) path: String,
    pub(crate) place: String,
    /// The number of bytes that were written.
    pub(crate) size: u64,
}

impl ScannedFile {
    /// The file that a part of a scan is about.
    fn of(file: &PartitionedFile) -> Result<Arc<Self>> {
        let known = file.extension::<Arc<Self>>().cloned();
        known.ok_or_else(|| DataFusionError::Internal("a scan reads a file of no table".to_owned()))
    }

    fn damaged(&self, damage: FileDamage) -> LakeError {
        let Self { table, path, place, .. } = self;
        let (table, path, place) = (table.clone(), path.clone(), place.clone());
        LakeError::DataFile(DamagedFile { table, path, place, damage })
    }

    fn unreadable(&self, words: &str) -> DataFusionError {
        let because = words.trim_end_matches('.').to_owned();
        DataFusionError::External(Box::new(self.damaged(FileDamage::Unreadable { because })))
    }

    /// What the reader of this file has come to.
    fn outcome<T>(&self, ended: std::thread::Result<Result<T>>) -> Result<T> {
        match ended {
            Ok(result) => result.map_err(|error| self.told(error)),
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
                Err(self.unreadable(&format!("the reader broke off with: {said}")))
            }
        }
    }

    /// What an error means that came out of the reader of this file.
    fn told(&self, error: DataFusionError) -> DataFusionError {
        match error {
            DataFusionError::Context(words, inner) => {
                DataFusionError::Context(words, Box::new(self.told(*inner)))
            }
            DataFusionError::ParquetError(inner) => match *inner {
                ParquetError::External(cause) => self.told_cause(cause),
                ParquetError::General(words) | ParquetError::EOF(words) => self.unreadable(&words),
                other => self.unreadable(&other.to_string()),
            },
            // What was fetched already is decoded by a part of the reader that has only words.
            DataFusionError::ArrowError(inner, backtrace) => match *inner {
                ArrowError::ParquetError(words) => self.unreadable(&words),
                other => DataFusionError::ArrowError(Box::new(other), backtrace),
            },
            other => other,
        }
    }

    fn told_cause(&self, cause: Box<dyn std::error::Error + Send + Sync>) -> DataFusionError {
        let cause = match cause.downcast::<LakeError>() {
            Ok(fault) => return DataFusionError::External(fault),
            Err(cause) => cause,
        };
        // A condition that the reader evaluates can fail on sound rows too.
        match cause.downcast_ref() {
            Some(ArrowError::ComputeError(_)) => {
                DataFusionError::ParquetError(Box::new(ParquetError::External(cause)))
            }
            _ => self.unreadable(&cause.to_string()),
        }
    }
}
