//! Text to [`Node`]: YAML events become values with byte-precise places.
//!
//! One document, plain keys, core-schema scalars, anchors and merge keys; tags other than `!!str` are
//! refused. Depth, size and the number of values are bounded, so that no file exhausts memory or stack.

mod fault;
mod scalar;
mod tree;

use saphyr_parser::{Event, Marker, Parser, Span};

use crate::{Diagnostic, FileId, Location, Node, codes};

pub(crate) use scalar::float;
use tree::Tree;

/// The most levels of mappings and lists inside one another.
const DEPTH_MAX: usize = 64;
/// The most values of one file, counted again for each use of an anchor.
const NODES_MAX: usize = 200_000;

/// Parses `text`, which starts at byte `base` of `file`. `None` when the text is empty or not YAML; what is wrong
/// goes to `diagnostics`.
pub(crate) fn parse(
    text: &str,
    file: FileId,
    base: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let positions = Positions::new(text, file, base);
    let mut tree = Tree::new(&positions, diagnostics);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if !step(&mut tree, event, span) {
                    return None;
                }
            }
            Err(error) => {
                let diagnostic = fault::diagnostic(&error, &positions);
                tree.report(diagnostic);
                return None;
            }
        }
    }
    tree.finish()
}

/// Feeds one event; false when the rest of the file is not worth reading.
fn step(tree: &mut Tree<'_>, event: Event<'_>, span: Span) -> bool {
    match event {
        Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
        Event::DocumentStart(_) => tree.start_document(span),
        Event::Alias(anchor) => tree.alias(anchor, span),
        Event::Scalar(text, style, anchor, tag) => tree.scalar(&text, style, anchor, tag.as_deref(), span),
        Event::SequenceStart(anchor, tag) => tree.open(false, anchor, tag.as_deref(), span),
        Event::MappingStart(anchor, tag) => tree.open(true, anchor, tag.as_deref(), span),
        Event::SequenceEnd | Event::MappingEnd => tree.close(span),
    }
}

/// Turns the parser's character indexes into the file's bytes.
pub(crate) struct Positions<'t> {
    pub(crate) text: &'t str,
    file: FileId,
    base: usize,
    /// Byte offset of each character; `None` for ASCII, where both are the same.
    offsets: Option<Vec<usize>>,
}

impl<'t> Positions<'t> {
    fn new(text: &'t str, file: FileId, base: usize) -> Self {
        let offsets = (!text.is_ascii()).then(|| text.char_indices().map(|(offset, _)| offset).collect());
        Self { text, file, base, offsets }
    }

    /// Byte offset inside the text.
    pub(crate) fn byte(&self, marker: Marker) -> usize {
        let index = marker.index();
        let byte = match &self.offsets {
            None => index,
            Some(offsets) => offsets.get(index).copied().unwrap_or(self.text.len()),
        };
        byte.min(self.text.len())
    }

    /// A place in the file, from offsets inside the text.
    pub(crate) fn location(&self, start: usize, end: usize) -> Location {
        Location { file: self.file, start: self.base + start, end: self.base + end.max(start) }
    }

    /// The span without the white space at its end.
    pub(crate) fn span(&self, span: Span) -> Location {
        let (start, end) = (self.byte(span.start), self.byte(span.end));
        let written = self.text.get(start..end).unwrap_or_default();
        self.location(start, start + written.trim_end().len())
    }
}

impl Tree<'_> {
    /// The node of the whole document, when there is one.
    fn finish(self) -> Option<Node> {
        self.root
    }
}

/// A file that needs more depth or values than a project file can have.
pub(crate) fn too_large(at: Location, what: String) -> Diagnostic {
    Diagnostic::error(codes::YAML_BOUNDS, what, at).with_hint("split the file into several smaller ones")
}
