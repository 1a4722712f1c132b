//! `${VAR}` and `${VAR:-default}` in string values, after parsing, so that a value can never become structure.

use crate::{Diagnostic, Location, Node, NodeKind, codes, decode::Faults};

/// Looks up a variable's value.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Substitutes in every text of `node`; keys stay as they are. `source` is the text of the whole file. A value with a
/// fault is reported and left out.
pub(crate) fn substitute(node: &mut Node, source: &str, lookup: Lookup<'_>, faults: &Faults) {
    match &mut node.kind {
        NodeKind::Text(text) if text.contains("${") => {
            let hiding_lookup = |name: &str| {
                let value = lookup(name);
                value.iter().for_each(|value| faults.hide(value.clone()));
                value
            };
            match expand(text, &hiding_lookup) {
                Ok(expanded) => *text = expanded,
                Err(problems) => {
                    for problem in problems {
                        faults.push(problem.diagnostic(node.at, source));
                    }
                    faults.leave_out(node.at);
                }
            }
        }
        NodeKind::List(items) => items.iter_mut().for_each(|item| substitute(item, source, lookup, faults)),
        NodeKind::Map(entries) => {
            entries.iter_mut().for_each(|(_, value)| substitute(value, source, lookup, faults));
        }
        _ => {}
    }
}

/// Leaves out every value that has a variable in it: for parts of a file that are not in use.
pub(crate) fn leave_out_unresolved(node: &Node, faults: &Faults) {
    match &node.kind {
        NodeKind::Text(text) if text.contains("${") => faults.leave_out(node.at),
        NodeKind::List(items) => items.iter().for_each(|item| leave_out_unresolved(item, faults)),
        NodeKind::Map(entries) => entries.iter().for_each(|(_, value)| leave_out_unresolved(value, faults)),
        _ => {}
    }
}

/// What is wrong with one `${…}`.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Unset { name: String },
    Malformed { written: String },
}

impl Problem {
    fn diagnostic(self, at: Location, source: &str) -> Diagnostic {
        match self {
            Self::Unset { name } => {
                let at = narrow(at, source, &format!("${{{name}}}"));
                Diagnostic::error(codes::UNSET_VARIABLE, format!("the variable `{name}` is not set"), at)
                    .with_hint(format!("set it, or give a default: `${{{name}:-…}}`"))
            }
            Self::Malformed { written } => {
                let at = narrow(at, source, &written);
                Diagnostic::error(codes::WRONG_VARIABLE, format!("`{written}` is not a variable"), at)
                    .with_hint("write `${NAME}` or `${NAME:-default}`, or `$${` for a literal `${`")
            }
        }
    }
}

/// The place of `part` inside the value at `at`, where it is written there literally.
fn narrow(at: Location, source: &str, part: &str) -> Location {
    let offset = source.get(at.start..at.end).and_then(|written| written.find(part));
    offset.map_or(at, |offset| Location {
        start: at.start + offset,
        end: at.start + offset + part.len(),
        ..at
    })
}

fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, Vec<Problem>> {
    let mut expanded = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(escaped) = before.strip_suffix('$') {
            expanded.push_str(escaped);
            expanded.push_str("${");
            rest = &from[2..];
            continue;
        }
        expanded.push_str(before);
        let Some(end) = from.find('}') else {
            problems.push(Problem::Malformed { written: crate::node::shorten(from) });
            rest = "";
            break;
        };
        let inner = &from[2..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            problems.push(Problem::Malformed { written: from[..=end].into() });
        } else if let Some(value) = lookup(name).filter(|value| default.is_none() || !value.is_empty()) {
            expanded.push_str(&value);
        } else if let Some(default) = default {
            expanded.push_str(default);
        } else {
            problems.push(Problem::Unset { name: name.into() });
        }
        rest = &from[end + 1..];
    }
    expanded.push_str(rest);
    if problems.is_empty() { Ok(expanded) } else { Err(problems) }
}

fn is_name(name: &str) -> bool {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first_fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
