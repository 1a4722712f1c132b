//! `${VAR}`, `${file:PATH}` and their defaults (`${VAR:-default}`) in string values, after parsing, so that a value can
//! never become structure.

use std::{cell::RefCell, io::Read, path::Path};

use millstream_types::is_secret_name;

use crate::{Diagnostic, Location, Node, NodeKind, codes, decode::Faults, secret};

/// What a `${…}` of a file begins with.
const FILE: &str = "file:";
/// The key of a connection, and of a source's connector, that says what kind it is.
const TYPE: &str = "type";
/// The most bytes of a file that holds a value.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The places where values come from.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    /// Looks up a variable of the process.
    pub(crate) variables: &'a dyn Fn(&str) -> Option<String>,
    /// Relative paths are relative to this folder.
    pub(crate) root: &'a Path,
}

/// Substitutes in every text of `node`; keys stay as they are. `source` is the text of the whole file. A value with a
/// fault is reported and left out.
pub(crate) fn substitute(node: &mut Node, source: &str, values: Values<'_>, faults: &Faults) {
    Substitution { source, values, faults }.node(node, "");
}

/// Reports a `${…}` in the value of `type` at the top of `node`, and leaves the value out. The type decides what is made of the
/// other values, and messages repeat it, so that it is written out: what stands for it may be the wrong variable, a secret.
pub(crate) fn refuse_in_type(node: &mut Node, source: &str, faults: &Faults) {
    let NodeKind::Map(entries) = &mut node.kind else { return };
    for (_, value) in entries.iter_mut().filter(|(key, _)| key.value == TYPE) {
        let NodeKind::Text(text) = &mut value.kind else { continue };
        if let Some((_, variable)) = text.split_once("${") {
            let end = variable.find('}').map_or(variable.len(), |end| end + 1);
            let at = narrow(value.at, source, &format!("${{{}", variable.get(..end).unwrap_or_default()));
            let message = "`type` is written out: no variable stands for it";
            let hint = "write the kind of connector itself: `type: files`";
            faults.push(Diagnostic::error(codes::WRONG_VARIABLE, message, at).with_hint(hint));
            faults.leave_out(value.at);
            // The rest of the file is substituted; a second fault of the same value says nothing more.
            text.clear();
        }
    }
}

struct Substitution<'a> {
    source: &'a str,
    values: Values<'a>,
    faults: &'a Faults,
}

impl Substitution<'_> {
    /// `key` is the nearest key above the node.
    fn node(&self, node: &mut Node, key: &str) {
        match &mut node.kind {
            NodeKind::Text(text) if text.contains("${") => {
                let used = RefCell::new(Vec::new());
                let look_up = |name: &Name<'_>| {
                    let value = self.values.get(name)?;
                    value.iter().for_each(|value| used.borrow_mut().push((name.is_file(), value.clone())));
                    Ok(value)
                };
                match expand(text, &look_up) {
                    Ok(expanded) => *text = expanded,
                    Err(problems) => {
                        for problem in problems {
                            self.faults.push(problem.diagnostic(node.at, self.source));
                        }
                        self.faults.leave_out(node.at);
                    }
                }
                for (is_file, value) in used.into_inner() {
                    if is_file || is_secret_name(key) {
                        self.faults.add_secret(&value);
                    }
                    self.faults.hide(value);
                }
                // The password in a URL is a secret, whether a variable holds the password or the whole URL.
                secret::passwords(text).iter().for_each(|password| self.faults.add_secret(password));
            }
            NodeKind::List(items) => items.iter_mut().for_each(|item| self.node(item, key)),
            NodeKind::Map(entries) => {
                entries.iter_mut().for_each(|(key, value)| self.node(value, &key.value));
            }
            _ => {}
        }
    }
}

/// What stands between `${` and `}`, without a default.
enum Name<'a> {
    Variable(&'a str),
    File(&'a str),
}

impl<'a> Name<'a> {
    fn of(written: &'a str) -> Option<Self> {
        match written.strip_prefix(FILE) {
            Some(path) => (!path.trim().is_empty()).then(|| Self::File(path.trim())),
            None => is_name(written).then_some(Self::Variable(written)),
        }
    }

    fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl Values<'_> {
    /// The value; `None` for a variable that is not set or a file that does not exist. The error says why a file cannot
    /// be read.
    fn get(&self, name: &Name<'_>) -> Result<Option<String>, String> {
        let path = match name {
            Name::Variable(name) => return Ok((self.variables)(name)),
            Name::File(path) => self.root.join(path),
        };
        let mut bytes = Vec::new();
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let length =
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if length as u64 > FILE_BYTES_MAX {
            return Err("it holds more than a value: it is larger than 64 KiB".to_owned());
        }
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        // Editors and `echo` end the last line; the value does not.
        let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
        Ok(Some(text.to_owned()))
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
    NoFile { path: String, reason: String },
    Malformed { written: String },
}

impl Problem {
    fn diagnostic(self, at: Location, source: &str) -> Diagnostic {
        match self {
            Self::Unset { name } => {
                let at = narrow(at, source, &format!("${{{name}}}"));
                let hint = match is_secret_name(&name) {
                    // A default would stand in the file, for all to read.
                    true => "set it, or name a file that holds it: `${file:PATH}`".to_owned(),
                    false => format!("set it, or give a default: `${{{name}:-…}}`"),
                };
                Diagnostic::error(codes::UNSET_VARIABLE, format!("the variable `{name}` is not set"), at)
                    .with_hint(hint)
            }
            Self::NoFile { path, reason } => {
                let at = narrow(at, source, &format!("${{{FILE}{path}}}"));
                let message = format!("the file `{path}` cannot be read: {reason}");
                Diagnostic::error(codes::UNREADABLE_VALUE, message, at).with_hint(format!(
                    "put the value into the file, or give a default: `${{{FILE}{path}:-…}}`"
                ))
            }
            Self::Malformed { written } => {
                let at = narrow(at, source, &written);
                let hint = match written.contains(FILE) {
                    true => "write `${file:PATH}` or `${file:PATH:-default}`",
                    false => "write `${NAME}` or `${NAME:-default}`, or `$${` for a literal `${`",
                };
                Diagnostic::error(codes::WRONG_VARIABLE, format!("`{written}` is not a variable"), at)
                    .with_hint(hint)
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

/// Looks up a value, or says why that is not possible.
type LookUp<'a> = &'a dyn Fn(&Name<'_>) -> Result<Option<String>, String>;

fn expand(text: &str, look_up: LookUp<'_>) -> Result<String, Vec<Problem>> {
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
        match Name::of(name) {
            None => problems.push(Problem::Malformed { written: from[..=end].into() }),
            Some(name) => match value(&name, default, look_up) {
                Ok(value) => expanded.push_str(&value),
                Err(problem) => problems.push(problem),
            },
        }
        rest = &from[end + 1..];
    }
    expanded.push_str(rest);
    if problems.is_empty() { Ok(expanded) } else { Err(problems) }
}

fn value(name: &Name<'_>, default: Option<&str>, look_up: LookUp<'_>) -> Result<String, Problem> {
    let no_file = |path: &str, reason: String| Problem::NoFile { path: path.to_owned(), reason };
    let found = look_up(name).map_err(|reason| match name {
        Name::Variable(name) | Name::File(name) => no_file(name, reason),
    })?;
    match (found.filter(|value| default.is_none() || !value.is_empty()), default, name) {
        (Some(value), ..) => Ok(value),
        (None, Some(default), _) => Ok(default.to_owned()),
        (None, None, Name::Variable(name)) => Err(Problem::Unset { name: (*name).to_owned() }),
        (None, None, Name::File(path)) => Err(no_file(path, "it does not exist".to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first_fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
