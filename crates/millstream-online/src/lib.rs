//! The online store: for each (space, entity) one record of bytes, read in batches, changed with its progress in one
//! atomic step. Embedded (fjall) or Redis, behind one trait with one conformance suite.
//!
//! May touch: its stores. Must not: know what a record holds, SQL, or the lake.
