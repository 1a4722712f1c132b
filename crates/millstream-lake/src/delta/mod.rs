//! Delta Lake's log as it stands in files: actions, the schema string, checkpoints.
//!
//! The format is `PROTOCOL.md` of delta-io/delta. Only the plain protocol is understood (reader version 1, writer
//! version 2, or later versions that name no feature); `snapshot.rs` refuses everything else before it is used.

mod action;
mod checkpoint;
mod commit_info;
mod parsed_stats;
mod path;
mod replay;
mod schema;

pub(crate) use action::{Action, Add, Format, Metadata, Protocol, Remove, Transaction};
pub(crate) use checkpoint::{actions_of, open};
pub(crate) use commit_info::CommitInfo;
pub(crate) use path::FilePath;
pub(crate) use replay::Replay;
pub(crate) use schema::{evolve, from_arrow, to_arrow};
