//! JSON lines: one object per line, decoded into columns of text; nested values are their JSON.

mod columns;
mod decode;
mod line;
mod shape;

pub(super) use decode::{JsonBlock, JsonFormat};
