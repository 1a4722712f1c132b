//! One line that counts, for work that is not a run of steps.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream_engine::{Event, Observer};

use super::line::waiting_line;
use crate::{human, output, session::Session};

/// How often the line is redrawn.
const HERTZ: u8 = 10;

/// A spinner with what is being done and how far it is; it is hidden where nobody looks at it.
#[derive(Debug)]
pub(crate) struct Counter {
    bar: ProgressBar,
    /// The word before what is worked on, with a space behind it, or nothing.
    verb: &'static str,
    /// Whether standard error is read by people.
    is_for_people: bool,
}

impl Observer for Counter {
    fn event(&self, event: &Event) {
        match event {
            Event::Waiting { because } if self.is_for_people => output::tell(&waiting_line(because)),
            Event::StepProgress(progress) => {
                let doing = progress.doing.iter().map(|doing| format!(": {doing}")).collect::<String>();
                let doing = format!("{}{}{doing}", self.verb, progress.asset.name());
                self.show(&doing, progress.rows, progress.rows_total);
            }
            _ => {}
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Counter {
    pub(crate) fn start(verb: &'static str, session: &Session) -> Self {
        let is_shown = session.settings.live && !session.settings.json;
        let target =
            if is_shown { ProgressDrawTarget::stderr_with_hz(HERTZ) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, verb, is_for_people: !session.settings.json }
    }

    /// Shows how far the work is.
    pub(crate) fn show(&self, doing: &str, rows: u64, total: Option<u64>) {
        let of = total.map(|total| format!(" of {}", human::thousands(total))).unwrap_or_default();
        self.bar.set_message(format!("{doing}  {}{of}", human::thousands(rows)));
    }
}
