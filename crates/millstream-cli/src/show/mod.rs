//! How results look: aligned columns for people, and streams of rows in the formats of `query`.

mod arrow_ipc;
mod csv;
pub(crate) mod format;
mod json;
mod parquet;
pub(crate) mod rows;
pub(crate) mod table;
