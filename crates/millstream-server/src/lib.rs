//! HTTP: Millstream's own API and the contract that Feast's clients speak, over one trait for each area, which the
//! binary fills in.
//!
//! A request is read against the declared types ([`FeatureBackend::entity_schema`]), handed over as Arrow columns, and the
//! answer's columns are written straight into the bytes of the response: there is no tree of JSON values on the way.
//!
//! May touch: the network address it was told to listen on.
//! Must not: know a store, SQL or the lake; read the clock's date; turn a mistake of a client into anything but a 4xx.

mod area;
mod backend;
mod body;
mod codes;
mod connection;
mod datasets;
mod error;
mod feast;
mod features;
mod guard;
mod intake;
mod jobs;
mod options;
mod process;
mod query;
mod server;
mod wire;

pub use backend::Backends;
pub use codes::CODES;
pub use datasets::{DatasetBackend, DatasetInfo, DatasetReader};
pub use error::{ApiError, Cause, ErrorKind, ServerError};
pub use features::{
    AnswerColumn, EntityInfo, EntitySchema, FeatureBackend, FeatureInfo, MaterializeAnswer,
    MaterializeRequest, PushAnswer, PushRequest, PushSchema, PushTarget, ReadAnswer, ReadRequest, ReadTarget,
    Readiness, ServiceInfo, Status, Statuses, ValueInfo, ViewFailed, ViewInfo, ViewMaterialized,
};
pub use options::{FeastCompat, Limits, ServerOptions, Token};
pub use process::openapi_json;
pub use query::{QueryAnswer, QueryBackend, QueryRequest};
pub use server::{Server, serve};
pub use wire::{json::ColumnWriter, types::type_name};
