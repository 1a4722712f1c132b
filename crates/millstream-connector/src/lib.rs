//! The connector trait and its small types over Arrow batches.
//!
//! May touch: Arrow's in-memory types, the event log by its trait. Must not: know the engine, the lake or any concrete connector.
//!
//! A connector is asked three things: what is there (`discover`), what it looks like (`describe`) and to
//! read it from a position to a bound (`read`, `finish`). Reading yields *blocks*: pieces of raw input that the caller
//! decodes on whichever thread it likes, so that reading stays sequential while decoding runs in parallel. What is durable
//! is told back (`acknowledge`), so that a source need not keep it.

mod block;
mod bound;
mod codes;
pub mod conformance;
mod connection;
mod error;
mod evidence;
mod factory;
mod intake;
mod operation;
mod options;
mod part;
mod types;

pub use block::{Arrivals, Block, BlockStream, MalformedRow, Positions, SourceBatch};
pub use bound::{Bound, Meter, ReadEnd};
pub use codes::CODES;
pub use connection::{Connection, ConnectionConfig, ConnectionFactory, Connections, NamedConnection};
pub use error::{ConnectorError, Retry};
pub use evidence::{Evidence, Scalars, keeps_text};
pub use factory::{BuildContext, Connector, ConnectorConfig, ConnectorFactory, ReadRequest, TABLE};
pub use intake::{
    EventDecoder, EventShape, GeneratedEvents, Intake, IntakeKind, LogAccess, OtlpSignal, SignatureScheme,
    SignedCalls,
};
pub use millstream_types::Secret;
pub use operation::{Operation, Operations};
pub use options::{OptionProblem, OptionProblems, OptionText, nearest, options_schema, read_options};
pub use part::{Discovery, FoundColumn, KnownPart, Part, PartChange, PartVersion, WaitingPart};
pub use types::{arrow_type, column_type};
