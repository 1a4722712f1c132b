//! `circuit` of a connection: `off`, or when it opens and how long it waits.

use std::num::NonZeroUsize;

use millstream_schedule::CircuitPolicy;
use millstream_types::Span;

use super::{Context, steps::some_time};
use crate::{Located, Location, Node, NodeKind, codes, decode::Written, file::CircuitFile};

/// More failures in a row would never be reached within any time.
const FAILURES_MAX: u32 = 100;

/// The policy of the circuit; `None` where there is to be none.
pub(super) fn circuit(context: &Context<'_>, node: &Node, key: Location) -> Option<CircuitPolicy> {
    let default = CircuitPolicy::default();
    match &node.kind {
        NodeKind::Null => return Some(default),
        NodeKind::Bool(false) => return None,
        NodeKind::Text(text) if text.trim() == "off" => return None,
        NodeKind::Map(_) => {}
        _ => {
            let message = format!("{} is no circuit", node.describe());
            let hint =
                "write `circuit: off`, or `circuit: {failures: 5, within: 10m, wait: 30s, wait_max: 10m}`";
            context.error(codes::WRONG_STEPS, message, node.at, hint);
            return Some(default);
        }
    }
    let Some(file) = context.faults.decode_at::<CircuitFile>(node, key) else { return Some(default) };
    let span = |name: &str, written: Option<&Located<Written<Span>>>| {
        written.and_then(|written| some_time(context, name, written))
    };
    let policy = CircuitPolicy {
        failures: file
            .failures
            .as_ref()
            .and_then(|count| failures(context, count))
            .unwrap_or(default.failures),
        within: span("within", file.within.as_ref()).unwrap_or(default.within),
        wait: span("wait", file.wait.as_ref()).unwrap_or(default.wait),
        wait_max: span("wait_max", file.wait_max.as_ref()).unwrap_or(default.wait_max),
    };
    if policy.wait > policy.wait_max {
        let at = file.wait.as_ref().or(file.wait_max.as_ref()).map_or(node.at, |written| written.at);
        let message = format!("`wait: {}` is longer than `wait_max: {}`", policy.wait, policy.wait_max);
        let hint = "the first wait cannot be longer than any may be";
        context.error(codes::WRONG_STEPS, message, at, hint);
    }
    Some(policy)
}

fn failures(context: &Context<'_>, written: &Located<u32>) -> Option<NonZeroUsize> {
    if !(1..=FAILURES_MAX).contains(&written.value) {
        let message = format!("a circuit cannot open after {written} failures");
        let hint = format!("write a number from 1 to {FAILURES_MAX}, or `circuit: off`");
        context.error(codes::WRONG_STEPS, message, written.at, hint);
        return None;
    }
    NonZeroUsize::new(usize::try_from(written.value).ok()?)
}
