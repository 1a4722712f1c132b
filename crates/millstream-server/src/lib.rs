//! HTTP: Millstream's own API and the contract that Feast's clients speak, over one trait for each area, which the
//! binary fills in.
//!
//! A request is read against the declared types ([`FeatureBackend::entity_schema`]), handed over as Arrow columns, and the
//! answer's columns are written straight into the bytes of the response: there is no tree of JSON values on the way.
//!
//! May touch: the network address it was told to listen on, and the files of its certificate.
//! Must not: know a store, SQL or the lake; read the clock's date; turn a mistake of a client into anything but a 4xx.

mod area;
mod backend;
mod backfills;
mod body;
mod catalog;
mod codes;
mod connection;
mod datasets;
mod error;
mod feast;
mod features;
mod guard;
mod ingest;
mod intake;
mod jobs;
mod listing;
mod options;
mod pipelines;
mod principal;
mod probe;
mod process;
mod project;
mod query;
mod runs;
mod schedule;
mod scoped;
mod server;
mod signature;
mod tls;
mod wire;

pub use backend::Backends;
pub use backfills::{BackfillBackend, BackfillEnd};
pub use catalog::CatalogBackend;
pub use codes::CODES;
pub use datasets::{DatasetBackend, DatasetReader};
pub use error::{ApiError, Cause, ErrorKind, ServerError};
pub use features::{
    AnswerColumn, EntitySchema, FeatureBackend, HeldProject, MaterializeRequest, PushRequest, PushSchema,
    ReadAnswer, ReadRequest, ReadTarget, Statuses,
};
pub use ingest::{EventsSent, IngestBackend, IngestEvents, IngestRequest};
pub use jobs::{JobBackend, JobReporter};
pub use millstream_api::{
    datasets::DatasetInfo,
    features::{
        EntityInfo, FeatureInfo, MaterializeAnswer, PushAnswer, PushTarget, ServiceInfo, Status, ValueInfo,
        ViewFailed, ViewInfo, ViewMaterialized,
    },
    ingest::{IngestAnswer, IngestedRange, RowFault},
    process::Readiness,
};
pub use options::{FeastCompat, Limits, ServerOptions};
pub use pipelines::{CommittedRows, PipelineBackend, RowPlace, TableFollower};
pub use principal::{Scope, Token, TokenGrant};
pub use probe::{Probed, probe};
pub use process::openapi_json;
pub use project::ProjectBackend;
pub use query::{QueryAnswer, QueryBackend, QueryRequest};
pub use runs::{RunBackend, RunEnd, RunRequest};
pub use schedule::ScheduleBackend;
pub use server::{Server, serve};
pub use signature::{SignatureShape, SourceSignature, WebhookSecret};
pub use tls::{TlsError, TlsFiles};
pub use wire::{json::ColumnWriter, types::type_name};
