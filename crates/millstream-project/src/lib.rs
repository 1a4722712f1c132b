//! Files to spec types with source spans; diagnostics; JSON Schema.
//!
//! May touch: the project's files, read-only. Must not: know SQL's meaning, open a network connection,
//! or touch the lake or the state store.
//!
//! Stages: text → [`Node`] (YAML with places) → `*File` (as written, one serde type that also gives the JSON
//! Schema) → `*Spec` (checked, defaults filled). [`load_project`] does all of it.

mod across;
mod build;
mod codes;
mod connections;
mod decode;
mod diagnostic;
mod file;
mod folder;
mod header;
mod load;
mod located;
mod node;
mod references;
mod schedules;
mod schema;
mod secret;
mod spec;
mod stamp;
mod variables;
mod words;
mod yaml;

pub use build::{FindTables, check_columns};
pub use codes::{CODES, Code};
pub use diagnostic::{Diagnostic, Level};
pub use folder::find_root;
pub use load::{LoadOptions, Loaded, load_project, load_project_with};
pub use located::{FileId, Located, Location, SourceFile, SourceMap};
pub use node::{Node, NodeKind};
pub use schema::json_schemas;
pub use secret::{Covered, HiddenValues, cover};
pub use spec::*;
pub use stamp::ProjectStamp;
pub use words::nearest;
