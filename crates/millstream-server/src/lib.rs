//! HTTP: Millstream's own API and the contract that Feast's clients speak, over traits that the binary fills in.
//!
//! May touch: the network it was told to listen on. Must not: know a store, SQL or the lake.
