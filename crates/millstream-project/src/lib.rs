//! Files to spec types with source spans; diagnostics; JSON Schema.
//!
//! May touch: the project's files, read-only. Must not: know SQL's meaning, open a network connection,
//! or touch the lake or the state store.
//!
//! Stages: text → [`Node`] (YAML with places) → `*File` (as written, one serde type that also gives the JSON
//! Schema) → `*Spec` (checked, defaults filled).

mod diagnostic;
mod located;
mod node;
mod spec;

pub use diagnostic::{Diagnostic, Level};
pub use located::{FileId, Located, Location, SourceFile, SourceMap};
pub use node::{Node, NodeKind};
pub use spec::*;
