//! JSON lines: one object per line, decoded into text columns and, where the table says so, nested ones.

mod columns;
mod decode;
mod line;
mod nested;
mod shape;

pub(super) use decode::{JsonBlock, JsonFormat};
