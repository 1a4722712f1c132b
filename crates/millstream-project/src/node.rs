//! YAML with the place of every value.

use crate::{Located, Location};

/// A YAML value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub at: Location,
}

/// What a YAML value is, after the core schema's rules.
#[derive(Clone, Debug)]
pub enum NodeKind {
    Null,
    Bool(bool),
    Int(i64),
    /// The number and its text as written, so that decimals stay exact.
    Float(f64, String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<(Located<String>, Node)>),
}
