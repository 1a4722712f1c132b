//! Several messages for a collector of OpenTelemetry as one request, and what it answers. Pure.

use millstream_state::Message;
use serde_json::{Map, Value};

use super::{LOGS, TRACES};

/// The names under which a message has what it tells: the list of resources, and what each of these and each scope has.
struct Names {
    resources: &'static str,
    scopes: &'static str,
    told: &'static str,
    rejected: &'static str,
}

/// What a collector did not take of a request that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partial {
    /// The spans or log records.
    pub rejected: u64,
    pub because: String,
}

/// The messages as one; `None` where the receiver takes each by itself, or a message is none of ours.
pub(super) fn joined(receiver: &str, messages: &[Message]) -> Option<String> {
    let names = names(receiver)?;
    let mut resources: Vec<Value> = Vec::new();
    for message in messages {
        let mut message: Value = serde_json::from_str(&message.message).ok()?;
        for resource in message.get_mut(names.resources)?.as_array_mut()?.drain(..) {
            add(&mut resources, resource, &names)?;
        }
    }
    let mut all = Map::new();
    all.insert(names.resources.to_owned(), resources.into());
    Some(Value::Object(all).to_string())
}

/// Adds what a resource tells: to the last one where that is the same, as it is unless the project has changed.
fn add(resources: &mut Vec<Value>, mut next: Value, names: &Names) -> Option<()> {
    let last = resources.last_mut().filter(|last| last.get("resource") == next.get("resource"));
    let Some(last) = last else {
        resources.push(next);
        return Some(());
    };
    let known = last.get_mut(names.scopes)?.as_array_mut()?;
    for mut scope in next.get_mut(names.scopes)?.as_array_mut()?.drain(..) {
        match known.iter_mut().find(|known| known.get("scope") == scope.get("scope")) {
            Some(known) => {
                let told = scope.get_mut(names.told)?.as_array_mut()?;
                known.get_mut(names.told)?.as_array_mut()?.append(told);
            }
            None => known.push(scope),
        }
    }
    Some(())
}

/// What the collector says that it left out of a request that it took; `None` where it took all.
pub(super) fn partial(receiver: &str, answer: &str) -> Option<Partial> {
    let names = names(receiver)?;
    let answer: Value = serde_json::from_str(answer).ok()?;
    let partial = answer.get("partialSuccess")?;
    // Numbers of 64 bits are texts in JSON, and some collectors write numbers all the same.
    let rejected = partial.get(names.rejected).and_then(|number| match number {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    });
    let because = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned();
    let partial = Partial { rejected: rejected.unwrap_or(0), because };
    (partial != Partial::default()).then_some(partial)
}

fn names(receiver: &str) -> Option<Names> {
    match receiver {
        TRACES => Some(Names {
            resources: "resourceSpans",
            scopes: "scopeSpans",
            told: "spans",
            rejected: "rejectedSpans",
        }),
        LOGS => Some(Names {
            resources: "resourceLogs",
            scopes: "scopeLogs",
            told: "logRecords",
            rejected: "rejectedLogRecords",
        }),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says so by its end")]
mod tests {
    use millstream_types::TimestampMicros;
    use serde_json::json;

    use super::*;

    fn message(service: &str, scope: &str, span: &str) -> Message {
        let message = json!({"resourceSpans": [{
            "resource": {"name": service},
            "scopeSpans": [{"scope": {"name": scope}, "spans": [{"name": span}]}],
        }]});
        Message { place: 0, at: TimestampMicros(0), message: message.to_string(), refusals: 0 }
    }

    #[test]
    fn spans_of_one_resource_and_scope_stand_together_in_their_order() {
        let messages =
            [message("a", "x", "1"), message("a", "x", "2"), message("a", "y", "3"), message("b", "x", "4")];
        let joined: Value = serde_json::from_str(&joined(TRACES, &messages).unwrap()).unwrap();
        let spans = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
        let expected = json!({"resourceSpans": [
            {"resource": {"name": "a"}, "scopeSpans": [
                {"scope": {"name": "x"}, "spans": spans(&["1", "2"])},
                {"scope": {"name": "y"}, "spans": spans(&["3"])},
            ]},
            {"resource": {"name": "b"}, "scopeSpans": [{"scope": {"name": "x"}, "spans": spans(&["4"])}]},
        ]});
        assert_eq!(joined, expected);
        assert_eq!(super::joined("openlineage", &messages), None);
    }

    #[test]
    fn an_answer_tells_what_was_left_out() {
        let some = |rejected, because: &str| Some(Partial { rejected, because: because.to_owned() });
        for (answer, expected) in [
            ("", None),
            ("{}", None),
            (r#"{"partialSuccess":{}}"#, None),
            (r#"{"partialSuccess":{"rejectedSpans":"0"}}"#, None),
            (r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"full"}}"#, some(2, "full")),
            (r#"{"partialSuccess":{"rejectedSpans":3}}"#, some(3, "")),
            (r#"{"partialSuccess":{"errorMessage":"an old version"}}"#, some(0, "an old version")),
        ] {
            assert_eq!(partial(TRACES, answer), expected, "{answer}");
        }
        assert_eq!(partial(LOGS, r#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#), some(1, ""));
        assert_eq!(partial("openlineage", r#"{"partialSuccess":{"rejectedSpans":"2"}}"#), None);
    }
}
