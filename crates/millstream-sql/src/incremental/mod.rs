//! Keeping a SQL table up to date from the changes of its inputs, without computing all of it.
//!
//! May touch: DataFusion plans and providers, temporary files of the session. Must not: know the lake, write
//! a table, or read a clock.
//!
//! [`Maintenance`] is the decision, made without data. [`Maintenance::refresh`] turns the inputs' old and new
//! versions and their added and removed rows into a [`Change`] of the table; [`survivors`] gives the rows of
//! rewritten files that stay. The order of the modules is the order of the work: `normalize` gives a plan one
//! shape, `cover` finds at least the keys that changed, `restrict` computes exactly these, `refresh` leaves out
//! what did not differ (and takes the short way where inputs only gained rows whose keys are new), `history` turns states into periods.

mod columns;
mod cover;
mod cover_join;
mod error;
mod evaluation;
mod history;
mod inputs;
mod key_match;
mod key_set;
mod linear;
mod maintenance;
mod normalize;
mod partitions;
mod periods;
mod refresh;
mod removal;
mod restrict;
mod retyped;
mod spool;
mod validate;

pub use error::{IncrementalError, KeyValues};
pub use evaluation::Limits;
pub use inputs::{InputChange, Inputs};
pub use key_match::KeyMatch;
pub use key_set::{KeyRange, KeySet};
pub use maintenance::{Keep, Maintenance, Strategy};
pub use partitions::{PartitionKey, Reached};
pub use refresh::{Change, Gone, Refresh, all_rows, survivors};
pub use removal::Removal;
pub use spool::Spool;
pub use validate::check_keys;
