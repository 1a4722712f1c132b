//! What is wrong with a project, where, and the way out.

use crate::Location;

/// One problem of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `MS-0101`; listed in [`crate::codes`].
    pub code: &'static str,
    pub level: Level,
    /// What is wrong, one line, values in backticks, no full stop.
    pub message: String,
    pub at: Option<Location>,
    /// A few words under the underlined place.
    pub label: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Whether a problem keeps the project from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warning,
}

impl Diagnostic {
    pub fn error(code: &'static str, message: impl Into<String>, at: Location) -> Self {
        Self { code, level: Level::Error, message: message.into(), at: Some(at), label: None, hint: None }
    }

    pub fn warning(code: &'static str, message: impl Into<String>, at: Location) -> Self {
        Self { level: Level::Warning, ..Self::error(code, message, at) }
    }

    /// An error of the project as a whole.
    pub fn error_without_place(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, level: Level::Error, message: message.into(), at: None, label: None, hint: None }
    }

    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
