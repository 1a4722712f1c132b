//! Builds the tree from events, without recursion.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{ScalarStyle, Span, Tag};

use super::{DEPTH_MAX, NODES_MAX, Positions, scalar, too_large};
use crate::{Diagnostic, Located, Location, Node, NodeKind, codes};

/// The tree so far.
pub(super) struct Tree<'a> {
    positions: &'a Positions<'a>,
    diagnostics: &'a mut Vec<Diagnostic>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
    pub(super) root: Option<Node>,
}

/// A list or mapping that is not closed yet.
struct Frame {
    at: Location,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(Located<String>, Node)>,
        /// The place where each key was first given.
        seen: HashMap<String, Location>,
        key: Key,
        merges: Vec<Node>,
    },
}

/// What the next value of a mapping belongs to.
enum Key {
    /// The next value is a key.
    Awaited,
    Plain(Located<String>),
    Merge,
    /// A key that was refused; its value is dropped.
    Refused,
    /// A list or mapping stands where a key should; it and its value are dropped.
    RefusedCollection,
}

impl<'a> Tree<'a> {
    pub(super) fn new(positions: &'a Positions<'a>, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { positions, diagnostics, open, anchors, nodes: 0, documents: 0, root: None }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn start_document(&mut self, span: Span) -> bool {
        self.documents += 1;
        if self.documents == 1 {
            return true;
        }
        let start = self.positions.byte(span.start);
        let at = self.positions.location(start, self.positions.byte(span.end));
        let message = "a second YAML document starts here";
        self.report(
            Diagnostic::error(codes::YAML_FEATURE, message, at)
                .with_hint("one file holds one document: remove the `---`, or make a second file"),
        );
        false
    }

    pub(super) fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> bool {
        let at = self.positions.span(span);
        let is_text = self.check_tag(tag, at);
        if style == ScalarStyle::Plain && text == "<<" && self.awaits_key() {
            self.set_key(Key::Merge);
            return true;
        }
        if self.awaits_key() {
            self.take_key(text, anchor, at);
            return true;
        }
        let plain = style == ScalarStyle::Plain && !is_text;
        let kind = if plain { scalar::plain(text) } else { NodeKind::Text(text.into()) };
        // An absent value has no place of its own: its key stands for it.
        let at = match (self.open.last(), at.start == at.end) {
            (Some(Frame { content: Content::Map { key: Key::Plain(key), .. }, .. }), true) => key.at,
            _ => at,
        };
        self.add(Node { kind, at }, anchor)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Map { key: Key::Awaited, .. }, .. }))
    }

    fn set_key(&mut self, next: Key) {
        if let Some(Frame { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = next;
        }
    }

    fn take_key(&mut self, text: &str, anchor: usize, at: Location) {
        if anchor != 0 {
            self.anchors.insert(anchor, Node { kind: NodeKind::Text(text.into()), at });
        }
        let Some(Frame { content: Content::Map { seen, .. }, .. }) = self.open.last_mut() else { return };
        let first = seen.get(text).copied();
        if first.is_none() {
            seen.insert(text.into(), at);
        }
        match first {
            Some(first) => {
                let line = self.line_of(first);
                self.report(
                    Diagnostic::error(codes::DUPLICATE_KEY, format!("the key `{text}` is given twice"), at)
                        .with_label(format!("first given in line {line}"))
                        .with_hint("remove one of the two"),
                );
                self.set_key(Key::Refused);
            }
            None => self.set_key(Key::Plain(Located::new(text.into(), at))),
        }
    }

    /// The number of the line inside the parsed text on which a place lies.
    fn line_of(&self, at: Location) -> usize {
        let base = self.positions.location(0, 0).start;
        let before = self.positions.text.as_bytes().get(..at.start.saturating_sub(base)).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub(super) fn alias(&mut self, anchor: usize, span: Span) -> bool {
        let at = self.positions.span(span);
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            self.report(
                Diagnostic::error(codes::YAML_FEATURE, "an anchor is used inside its own value", at)
                    .with_hint("write the value out"),
            );
            return false;
        };
        if self.awaits_key() {
            match &node.kind {
                NodeKind::Text(text) => self.take_key(&text.clone(), 0, at),
                _ => self.refuse_key(at, Key::Refused),
            }
            return true;
        }
        self.nodes = self.nodes.saturating_add(count(&node));
        if self.open.len() + depth(&node) > DEPTH_MAX {
            self.report(too_deep(at));
            return false;
        }
        self.add(node, 0)
    }

    fn refuse_key(&mut self, at: Location, next: Key) {
        self.report(
            Diagnostic::error(codes::YAML_FEATURE, "a key must be text", at)
                .with_hint("write a plain word before the `:`"),
        );
        self.set_key(next);
    }

    /// True for `!!str`; reports every other tag.
    fn check_tag(&mut self, tag: Option<&Tag>, at: Location) -> bool {
        match tag {
            None => false,
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
            Some(tag) => {
                let name =
                    if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
                self.report(
                    Diagnostic::error(
                        codes::YAML_FEATURE,
                        format!("the YAML tag `{name}` is not supported"),
                        at,
                    )
                    .with_hint("remove the tag; put a value in quotes to make it text"),
                );
                false
            }
        }
    }

    pub(super) fn open(&mut self, is_map: bool, anchor: usize, tag: Option<&Tag>, span: Span) -> bool {
        let start = self.positions.byte(span.start);
        let at = self.positions.location(start, self.positions.byte(span.end));
        self.check_tag(tag, at);
        if self.awaits_key() {
            self.refuse_key(at, Key::RefusedCollection);
        }
        if self.open.len() >= DEPTH_MAX {
            self.report(too_deep(at));
            return false;
        }
        let content = if is_map {
            Content::Map { entries: Vec::new(), seen: HashMap::new(), key: Key::Awaited, merges: Vec::new() }
        } else {
            Content::List(Vec::new())
        };
        self.open.push(Frame { at, anchor, content });
        true
    }

    pub(super) fn close(&mut self, span: Span) -> bool {
        let Some(frame) = self.open.pop() else { return true };
        // Brackets close with a place of their own; a block ends where its last value ends.
        let closed = self.positions.span(span);
        let mut at = frame.at;
        if closed.end > closed.start {
            at.end = closed.end;
        }
        let kind = match frame.content {
            Content::List(items) => {
                at.end = at.end.max(items.last().map_or(at.end, |last| last.at.end));
                NodeKind::List(items)
            }
            Content::Map { mut entries, merges, .. } => {
                let last = entries.iter().map(|(key, value)| key.at.end.max(value.at.end)).max();
                at.end = at.end.max(last.unwrap_or(at.end));
                merge(&mut entries, merges);
                NodeKind::Map(entries)
            }
        };
        self.add(Node { kind, at }, frame.anchor)
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> bool {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            self.report(too_large(node.at, format!("more than {NODES_MAX} values in one file")));
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return true;
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, .. } => match std::mem::replace(key, Key::Awaited) {
                Key::Plain(name) => entries.push((name, node)),
                Key::Merge => self.add_merge(node),
                Key::RefusedCollection => *key = Key::Refused,
                Key::Refused | Key::Awaited => {}
            },
        }
        true
    }

    /// `<<` takes a mapping or a list of mappings.
    fn add_merge(&mut self, node: Node) {
        let at = node.at;
        let sources = match node.kind {
            NodeKind::List(items) => items,
            kind => vec![Node { kind, at }],
        };
        let all_maps = sources.iter().all(|source| matches!(source.kind, NodeKind::Map(_)));
        if !all_maps {
            self.report(
                Diagnostic::error(codes::YAML_FEATURE, "`<<` takes a mapping", at)
                    .with_hint("name the anchor of a mapping, as in `<<: *base`"),
            );
        } else if let Some(Frame { content: Content::Map { merges, .. }, .. }) = self.open.last_mut() {
            merges.extend(sources);
        }
    }
}

/// Adds the entries of each of `merges` whose keys are not given yet.
fn merge(entries: &mut Vec<(Located<String>, Node)>, merges: Vec<Node>) {
    if merges.is_empty() {
        return;
    }
    let mut given: HashSet<String> = entries.iter().map(|(key, _)| key.value.clone()).collect();
    for merged in merges {
        if let NodeKind::Map(others) = merged.kind {
            entries.extend(others.into_iter().filter(|(key, _)| given.insert(key.value.clone())));
        }
    }
}

fn too_deep(at: Location) -> Diagnostic {
    too_large(at, format!("more than {DEPTH_MAX} lists and mappings inside one another"))
}

fn count(node: &Node) -> usize {
    match &node.kind {
        NodeKind::List(items) => items.iter().map(count).sum::<usize>() + 1,
        NodeKind::Map(entries) => entries.iter().map(|(_, value)| count(value)).sum::<usize>() + 1,
        _ => 1,
    }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        NodeKind::List(items) => items.iter().map(depth).max().unwrap_or(0) + 1,
        NodeKind::Map(entries) => entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0) + 1,
        _ => 1,
    }
}
