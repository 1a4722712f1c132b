//! The `files` connector: CSV, JSON lines, Parquet and Avro from folders, web servers and object stores.
//!
//! A part is a file. Its id is the path as people write it (relative to the project's folder) or the URL. A
//! position is the number of the line on which a row starts (text) or the number of the row (Parquet, Avro),
//! both from 1, so that a position leads to the row in an editor.

mod again;
mod avro;
mod config;
mod connection;
mod connector;
mod csv;
mod discover;
mod encoding;
mod format;
mod guard;
mod infer;
mod input;
mod int96;
mod jsonl;
mod listing;
mod options;
mod parquet;
mod pattern;
mod place;
mod pump;
mod rename;
mod store;
mod tables;
mod text;
mod version;

pub use config::FilesFactory;
