//! Rows between two phases of work: in memory while there is room, then in files of a spill folder.
//!
//! A [`Space`] is the memory that some rows may take together and the folder for the others. A [`SpoolWriter`] takes batches
//! and gives a [`Spool`], which can be read any number of times, in order, whole or some columns of it. Files go with the
//! spool that they belong to, the folder with the last of them.
//!
//! May touch: Arrow, a folder that it is given. Must not: know tables, queries or datasets; wait for anything but the disk.
//! All calls block while they read or write: asynchronous code hands reading to a thread that may block.

mod error;
mod held;
mod space;
mod spool;
mod writer;

pub use error::SpoolError;
pub use held::size_of;
pub use space::Space;
pub use spool::{Batches, Spool};
pub use writer::SpoolWriter;
