//! HTTP: Millstream's own API and the contract that Feast's clients speak, over one trait that the binary fills in.
//!
//! A request is read against the declared types ([`FeatureBackend::entity_schema`]), handed over as Arrow columns, and the
//! answer's columns are written straight into the bytes of the response: there is no tree of JSON values on the way.
//!
//! May touch: the network address it was told to listen on.
//! Must not: know a store, SQL or the lake; read the clock's date; turn a mistake of a client into anything but a 4xx.

mod api;
mod backend;
mod body;
mod codes;
mod connection;
mod error;
mod feast;
mod guard;
mod intake;
mod jobs;
mod openapi;
mod options;
mod server;
mod wire;

pub use backend::{
    AnswerColumn, DatasetInfo, DatasetReader, EntityInfo, EntitySchema, FeatureBackend, FeatureInfo,
    MaterializeAnswer, MaterializeRequest, PushAnswer, PushRequest, PushSchema, PushTarget, QueryAnswer,
    QueryRequest, ReadAnswer, ReadRequest, ReadTarget, Readiness, ServiceInfo, Status, Statuses, ValueInfo,
    ViewFailed, ViewInfo, ViewMaterialized,
};
pub use codes::CODES;
pub use error::{ApiError, Cause, ErrorKind, ServerError};
pub use openapi::openapi_json;
pub use options::{FeastCompat, Limits, ServerOptions, Token};
pub use server::{Server, serve};
pub use wire::{json::ColumnWriter, types::type_name};
