//! Named patterns and regular expressions.

use std::{cell::RefCell, collections::HashMap};

use crate::{NamedPattern, Pattern};

/// Regular expressions tried so far: projects repeat the same few, and compiling one takes longer than
/// reading a file.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    tried: RefCell<HashMap<String, Option<String>>>,
}

impl Patterns {
    /// The pattern, or why it is none.
    pub(super) fn read(&self, text: &str) -> Result<Pattern, String> {
        if let Some(named) = named(text) {
            return Ok(Pattern::Named(named));
        }
        let mut tried = self.tried.borrow_mut();
        let fault = tried.entry(text.into()).or_insert_with(|| {
            // As the contract will use it: anchored at both ends.
            regex::Regex::new(&format!("^(?:{text})$")).err().map(|error| match regex::Regex::new(text) {
                // The anchors would show up in the message.
                Err(plain) => last_line(&plain.to_string()),
                Ok(_) => last_line(&error.to_string()),
            })
        });
        match fault {
            None => Ok(Pattern::Regex(text.into())),
            Some(fault) => Err(fault.clone()),
        }
    }
}

/// The part of a regex error that says why; the lines before draw the place.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

fn named(text: &str) -> Option<NamedPattern> {
    Some(match text {
        "email" => NamedPattern::Email,
        "uuid" => NamedPattern::Uuid,
        "url" => NamedPattern::Url,
        "iso_date" => NamedPattern::IsoDate,
        "ipv4" => NamedPattern::Ipv4,
        "ipv6" => NamedPattern::Ipv6,
        "json" => NamedPattern::Json,
        _ => return None,
    })
}
