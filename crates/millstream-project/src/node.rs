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
    /// The entries of a mapping in the order of the file; keys are unique.
    Map(Vec<(Located<String>, Node)>),
}

impl Node {
    /// The same value without places. Numbers that JSON cannot hold (`.inf`, `.nan`) become their text.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Int(value) => Value::from(*value),
            NodeKind::Float(value, text) => serde_json::Number::from_f64(*value)
                .map_or_else(|| Value::String(text.clone()), Value::Number),
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            NodeKind::Map(entries) => Value::Object(
                entries.iter().map(|(key, value)| (key.value.clone(), value.to_json())).collect(),
            ),
        }
    }

    /// The place of the value that `path` leads to: keys of mappings, indexes of lists as text. Where the
    /// path leaves the tree (a missing key), the deepest value on the way answers.
    #[must_use]
    pub fn at_path(&self, path: &[String]) -> Location {
        let Some((first, rest)) = path.split_first() else { return self.at };
        let child = match &self.kind {
            NodeKind::Map(_) => self.get(first),
            NodeKind::List(items) => first.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        child.map_or(self.at, |child| child.at_path(rest))
    }

    /// The value of a key, when this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for every other value.
    #[must_use]
    pub fn entries(&self) -> &[(Located<String>, Self)] {
        match &self.kind {
            NodeKind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What the value is, in words for a message.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::Null => "nothing".into(),
            NodeKind::Bool(value) => format!("`{value}`"),
            NodeKind::Int(value) => format!("the number `{value}`"),
            NodeKind::Float(_, text) => format!("the number `{text}`"),
            NodeKind::Text(text) => format!("the text `{}`", shorten(text)),
            NodeKind::List(_) => "a list".into(),
            NodeKind::Map(_) => "a mapping".into(),
        }
    }
}

/// The first line of a text, at most 60 characters of it.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(CHARS_MAX).collect();
    if short.len() < text.trim_end().len() {
        short.push('…');
    }
    short
}
