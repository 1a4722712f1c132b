//! Between the wire and Arrow: JSON into typed columns, columns into JSON or Arrow's stream format.

pub(crate) mod arrow_stream;
pub(crate) mod base64;
pub(crate) mod column;
pub(crate) mod columns;
pub(crate) mod instant;
pub(crate) mod json;
pub(crate) mod scalar;
pub(crate) mod times;
pub(crate) mod types;
