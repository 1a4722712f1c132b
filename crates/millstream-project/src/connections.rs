//! Rules between connections and sources: what a source names exists and is of its own type, and each is used.

use std::collections::BTreeSet;

use crate::{ConnectionSpec, Diagnostic, SourceSpec, codes, words};

/// Judges the connections that sources name. `listed` are the names of all files of `connections/`, those with faults
/// included. With `is_whole`, every source could be read, so that a connection that none of them names is unused.
pub(crate) fn judge(
    connections: &[ConnectionSpec],
    listed: &BTreeSet<String>,
    sources: &[SourceSpec],
    is_whole: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut reported = BTreeSet::new();
    // A name that does not exist may be meant for a connection that nothing names.
    let mut is_whole = is_whole;
    for source in sources {
        let Some(name) = &source.connector.connection else { continue };
        used.insert(name);
        let connection = connections.iter().find(|connection| connection.name == name.value);
        // The tables of one file name a connection in one place.
        if !reported.insert(name.at) {
            continue;
        }
        match connection {
            Some(connection) if connection.kind.value != source.connector.kind.value => {
                let message = format!(
                    "the connection `{name}` is of type `{}`, not `{}`",
                    connection.kind, source.connector.kind
                );
                let hint = "name one of the source's own type, or leave `connection` out";
                diagnostics
                    .push(Diagnostic::error(codes::UNFIT_CONNECTION, message, name.at).with_hint(hint));
            }
            Some(_) => {}
            None if listed.contains(&name.value) => {}
            None => {
                is_whole = false;
                let message = format!("there is no connection `{name}`");
                let mut diagnostic = Diagnostic::error(codes::UNKNOWN_CONNECTION, message, name.at);
                diagnostic.hint = words::hint(name, listed.iter().map(String::as_str))
                    .or_else(|| Some(format!("define it in `connections/{name}.yaml`")));
                diagnostics.push(diagnostic);
            }
        }
    }
    let unused = connections.iter().filter(|connection| is_whole && !used.contains(connection.name.as_str()));
    for connection in unused {
        let message = format!("no source uses the connection `{}`", connection.name);
        let hint = format!(
            "name it in a source, `connector: {{type: {}, connection: {}, …}}`, or remove the file",
            connection.kind, connection.name
        );
        diagnostics
            .push(Diagnostic::warning(codes::UNUSED_CONNECTION, message, connection.at).with_hint(hint));
    }
}
