//! Tests of the connectors at their boundary: the traits of `millstream-connector`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod changes;
mod compressed;
mod conformance;
mod connections;
mod csv;
mod describe;
mod encodings;
mod events;
mod folder;
mod jsonl;
mod options;
mod places;
mod properties;
mod typed;
mod web;
