//! Paths with wildcards.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

/// A path as a user writes it: one file, or a pattern for many.
#[derive(Clone)]
pub(crate) struct Pattern {
    text: String,
    /// The folder above the first wildcard, as written and without a `/` at its end; empty for the folder that
    /// the pattern is relative to. For a path without wildcards, the whole path.
    prefix: String,
    matcher: Option<GlobMatcher>,
    /// Levels of folders below the prefix in which a match can be; `None` for any.
    levels: Option<usize>,
    /// Whether the pattern asks for names that start with a dot.
    hidden: bool,
}

const WILDCARDS: [char; 5] = ['*', '?', '[', '{', '\\'];

impl Pattern {
    /// Errors with a sentence about what is wrong with the pattern.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let mut text = text.trim();
        while let Some(rest) = text.strip_prefix("./") {
            text = rest.trim_start_matches('/');
        }
        let parts: Vec<&str> = text.split('/').collect();
        let literal = parts.iter().take_while(|part| !part.contains(WILDCARDS)).count();
        if literal == parts.len() {
            let prefix = text.to_owned();
            return Ok(Self { text: text.to_owned(), prefix, matcher: None, levels: None, hidden: true });
        }
        let matcher = GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|error| error.kind().to_string())?
            .compile_matcher();
        // `/*.csv` has an empty first part that stands for the root.
        let prefix =
            if literal == 1 && parts[0].is_empty() { "/".to_owned() } else { parts[..literal].join("/") };
        let any_depth = text.contains("**") || text.contains('{');
        Ok(Self {
            text: text.to_owned(),
            prefix,
            matcher: Some(matcher),
            levels: (!any_depth).then_some(parts.len() - literal - 1),
            hidden: parts[literal..].iter().any(|part| part.starts_with('.')),
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn levels(&self) -> Option<usize> {
        self.levels
    }

    pub(super) fn is_literal(&self) -> bool {
        self.matcher.is_none()
    }

    /// Whether a path (with the prefix) is meant. Names that start with a dot are meant only when the pattern
    /// says so: they are what programs call files that are not finished.
    pub(super) fn matches(&self, path: &str) -> bool {
        let hidden = path
            .strip_prefix(&self.prefix)
            .unwrap_or(path)
            .split('/')
            .any(|part| part.starts_with('.') && part != "..");
        match &self.matcher {
            Some(matcher) => (self.hidden || !hidden) && matcher.is_match(path),
            None => path == self.text,
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}
