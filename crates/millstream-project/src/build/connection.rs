//! `connections/*.yaml`: the type and the options of a way into an outside system.

use millstream_schedule::CircuitPolicy;
use millstream_types::is_secret_name;

use super::{Context, circuit::circuit, environment::steps_at_once, steps::budget};
use crate::{ConnectionSpec, Diagnostic, Located, Node, NodeKind, codes, secret, variables};

/// Reads one connection, whose name is its file's. `None` when nothing can be made of the file.
pub(crate) fn connection(context: &Context<'_>, name: &str, mut node: Node) -> Option<ConnectionSpec> {
    literals(context, &node, "");
    variables::refuse_in_type(&mut node, context.text, context.faults);
    variables::substitute(&mut node, context.text, context.values, context.faults);
    let at = node.at;
    let NodeKind::Map(entries) = node.kind else {
        let message = format!("expected a mapping, found {}", node.describe());
        context.error(codes::WRONG_KIND, message, at, "write `type: …` and the options, one per line");
        return None;
    };
    let (mut kind, mut description, mut concurrency, mut options) = (None, None, None, Vec::new());
    let (mut retry_budget, mut policy) = (None, Some(CircuitPolicy::default()));
    for (key, value) in entries {
        match key.value.as_str() {
            "type" => kind = Some((key.at, value)),
            "description" => description = context.faults.decode_at::<String>(&value, key.at),
            "concurrency" if !matches!(value.kind, NodeKind::Null) => {
                let written: Option<Located<usize>> = context.faults.decode_at(&value, key.at);
                concurrency = written.and_then(|written| steps_at_once(context, &written));
            }
            "concurrency" => {}
            "circuit" => policy = circuit(context, &value, key.at),
            "retry_budget" => {
                let written: Option<Option<Located<String>>> = context.faults.decode_at(&value, key.at);
                retry_budget = written.flatten().and_then(|written| budget(context, &written));
            }
            _ => options.push((key, value)),
        }
    }
    let kind: Located<String> = match kind.filter(|(_, value)| !matches!(value.kind, NodeKind::Null)) {
        Some((key, kind)) => context.faults.decode_at(&kind, key)?,
        None => {
            let hint = "name the kind of connector: `type: files`";
            context.error(codes::MISSING_KEY, "`type` is missing", context.start(), hint);
            return None;
        }
    };
    Some(ConnectionSpec {
        name: name.to_owned(),
        at: context.start(),
        description,
        concurrency,
        retry_budget,
        circuit: policy,
        kind,
        options: Node { kind: NodeKind::Map(options), at },
        has_gap: context.faults.has_gap_in(at),
        secrets: context.faults.secrets(),
    })
}

/// Warns of credentials that stand in the file itself; messages cover them like all others.
pub(super) fn literals(context: &Context<'_>, node: &Node, key: &str) {
    match &node.kind {
        NodeKind::Text(text) if !text.contains("${") => {
            let is_named = is_secret_name(key) && !text.is_empty();
            let found = if is_named { vec![text.clone()] } else { secret::passwords(text) };
            if found.is_empty() {
                return;
            }
            found.iter().for_each(|secret| context.faults.add_secret(secret));
            let what = if is_named { format!("`{key}`") } else { format!("the password in `{key}`") };
            let hint = "keep it in a variable or a file of its own: `${NAME}`, `${file:/run/secrets/name}`";
            context.faults.push(
                Diagnostic::warning(codes::OPEN_SECRET, format!("{what} stands in the file"), node.at)
                    .with_hint(hint),
            );
        }
        NodeKind::List(items) => items.iter().for_each(|item| literals(context, item, key)),
        NodeKind::Map(entries) => entries.iter().for_each(|(key, value)| literals(context, value, key)),
        _ => {}
    }
}
