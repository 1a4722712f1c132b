//! Lines from within the span of a step, on their way to the step's own log.

use std::fmt::{self, Write};

use millstream_engine::log_line;
use millstream_state::LogLevel;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// What is kept of what steps log, whatever `--log` shows of it: the warnings of all, and what Millstream itself tells.
pub(super) const KEPT: &str = "warn,millstream=info";

/// The name of the span of a step.
const STEP: &str = "step";

/// Hands lines from within a step to the step's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepLines;

/// The ids that the span of a step has.
#[derive(Clone, Debug, Default)]
struct StepIds {
    run: String,
    asset: String,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for StepLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != STEP {
            return;
        }
        let mut ids = StepIds::default();
        attributes.record(&mut ids);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(ids);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else { return };
        let ids = scope.into_iter().find_map(|span| span.extensions().get::<StepIds>().cloned());
        let Some(StepIds { run, asset }) = ids else { return };
        let mut text = Text::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        };
        log_line(&run, &asset, level, &format!("{}{}", text.message, text.fields));
    }
}

impl Visit for StepIds {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "run" => self.run = format!("{value:?}"),
            "asset" => self.asset = format!("{value:?}"),
            _ => {}
        }
    }
}

/// A line: its message, and its other fields as `name=value` behind it.
#[derive(Debug, Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
