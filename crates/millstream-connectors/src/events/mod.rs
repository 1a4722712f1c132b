//! The connectors `http`, `generate` and `otlp`: events that a source takes in through the event log.
//!
//! A part is a partition of the topic that has the source's name; its id is `<source>/<partition>`. A position is the offset of a
//! record, from 0. An event is a message that holds one JSON object, or a row of Arrow. Who appends the events is none of this
//! folder's business: it says by which rules they are taken in, and reads what is there.

mod config;
mod connector;
mod decode;
mod options;

pub use config::{GenerateFactory, HttpFactory, OtlpFactory};
