//! The connectors, one folder each.
//!
//! May touch: files, networks and the client libraries of the sources. Must not: know the engine, the lake or
//! another connector.

mod events;
mod files;
mod json;
mod plain;
mod text_columns;

use millstream_connector::ConnectorFactory;

pub use events::{GenerateFactory, HttpFactory, OtlpFactory};
pub use files::FilesFactory;

/// Every kind of connector there is.
#[must_use]
pub fn connectors() -> Vec<Box<dyn ConnectorFactory>> {
    vec![Box::new(FilesFactory), Box::new(HttpFactory), Box::new(GenerateFactory), Box::new(OtlpFactory)]
}
