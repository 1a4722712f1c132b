//! A run while it runs: live lines on a terminal, plain lines elsewhere, JSON lines with `--json`.

pub(crate) mod counter;
pub(crate) mod json;
pub(crate) mod line;
mod live;
mod plain;
pub(crate) mod summary;

use std::sync::Arc;

use millstream_engine::{Engine, Observer, Publisher};

use crate::session::Session;

pub(crate) use line::waiting_line;

/// Announces a run to the engine, shown as fits the terminal and the flags.
pub(crate) fn begin(engine: &Engine, session: &Session) -> Publisher {
    let observer: Arc<dyn Observer> = if session.settings.json {
        Arc::new(json::JsonLines)
    } else if session.settings.live {
        Arc::new(live::Live::new())
    } else {
        Arc::new(plain::Plain::default())
    };
    engine.begin(&session.settings.line).observed_by(observer)
}
