//! How results look: aligned columns for people, and streams of rows in the formats of `query`.

mod arrow_stream;
mod csv;
mod json;
pub(crate) mod rows;
pub(crate) mod table;
