//! Live lines on a terminal: one per running step, replaced by a plain line when the step is done.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream_engine::{Event, Observer, StepOutcome, StepProgress};
use millstream_types::AssetId;

use super::line::{alarm_line, name_width, note_line, retry_line, step_line, waiting_line};
use crate::{human, output};

/// How often the running lines are redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Steps that are faster than this never get a line of their own.
const SHOWN_AFTER: Duration = Duration::from_millis(120);
/// The width of a progress bar, in columns of the terminal.
const BAR_WIDTH: usize = 24;

/// Draws on standard error. The thread that redraws the lines ends once this is dropped.
pub(crate) struct Live {
    state: Arc<Mutex<State>>,
}

struct State {
    screen: MultiProgress,
    /// The last line: how far the whole run is.
    total: Option<ProgressBar>,
    started: Instant,
    steps: usize,
    steps_done: usize,
    name_width: usize,
    running: BTreeMap<AssetId, Step>,
}

struct Step {
    started: Instant,
    progress: Option<StepProgress>,
    bar: Option<ProgressBar>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    pub(crate) fn new() -> Self {
        let state = Arc::new(Mutex::new(State {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(20)),
            total: None,
            started: Instant::now(),
            steps: 0,
            steps_done: 0,
            name_width: 0,
            running: BTreeMap::new(),
        }));
        let weak = Arc::downgrade(&state);
        std::thread::spawn(move || tick(&weak));
        Self { state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tick(state: &Weak<Mutex<State>>) {
    loop {
        std::thread::sleep(REDRAW_EVERY);
        let Some(state) = state.upgrade() else { return };
        state.lock().unwrap_or_else(PoisonError::into_inner).redraw();
    }
}

impl Observer for Live {
    fn event(&self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::RunStarted { steps, .. } => {
                state.steps = steps.len();
                state.name_width = name_width(steps);
            }
            Event::StepStarted { asset, .. } => {
                state.running.insert(asset.clone(), Step::new());
            }
            Event::StepProgress(progress) => {
                if let Some(step) = state.running.get_mut(&progress.asset) {
                    step.progress = Some(progress.clone());
                }
            }
            Event::Waiting { because } => state.print(&waiting_line(because)),
            Event::StepNote { asset, note } => state.print(&note_line(asset.as_str(), note)),
            Event::StepRetry { asset, attempt, wait, error } => {
                state.print(&retry_line(asset.as_str(), *attempt, *wait, error));
            }
            Event::Alarm { message, is_over, .. } => state.print(&alarm_line(message, *is_over)),
            Event::StepFinished(report) => {
                if let Some(bar) = state.running.remove(&report.asset).and_then(|step| step.bar) {
                    bar.finish_and_clear();
                }
                let is_left = matches!(report.outcome, StepOutcome::Skipped { .. } | StepOutcome::Cancelled);
                state.steps_done += usize::from(!is_left);
                let line = step_line(report, state.name_width);
                state.print(&line);
            }
            Event::RunFinished(_) => state.clear(),
            Event::TableMaintained(_) | Event::Pipeline(_) => {}
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.state().clear();
    }
}

impl Step {
    fn new() -> Self {
        Self { started: Instant::now(), progress: None, bar: None }
    }

    fn message(&self) -> String {
        let elapsed = self.started.elapsed();
        let mut said = Vec::new();
        if let Some(progress) = &self.progress {
            said.extend(progress.doing.clone());
            if let Some(total) = progress.bytes_total.filter(|total| *total > 0) {
                said.push(bar(progress.bytes, total));
                said.push(format!("{} of {}", human::bytes(progress.bytes.min(total)), human::bytes(total)));
            }
            match progress.rows_total {
                Some(total) if progress.rows > 0 => {
                    let of = human::count(total, "row");
                    said.push(format!("{} of {of}", human::thousands(progress.rows)));
                }
                None if progress.rows > 0 => {
                    said.push(human::count(progress.rows, "row"));
                    said.extend(human::rate(progress.rows, elapsed));
                }
                _ => {}
            }
        }
        said.push(human::duration(elapsed));
        said.join("  ")
    }
}

impl State {
    fn redraw(&mut self) {
        let width = self.name_width;
        for (asset, step) in &mut self.running {
            if step.bar.is_none() && step.started.elapsed() >= SHOWN_AFTER {
                let bar =
                    ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {prefix}  {wide_msg}"));
                bar.set_prefix(format!("{:<width$}", asset.as_str()));
                let bar = match &self.total {
                    Some(total) => self.screen.insert_before(total, bar),
                    None => self.screen.add(bar),
                };
                step.bar = Some(bar);
            }
            if let Some(bar) = &step.bar {
                bar.set_message(step.message());
                bar.tick();
            }
        }
        self.redraw_total();
    }

    fn redraw_total(&mut self) {
        if self.steps < 2 || self.started.elapsed() < SHOWN_AFTER {
            return;
        }
        let screen = &self.screen;
        let total = self
            .total
            .get_or_insert_with(|| screen.add(ProgressBar::new_spinner().with_style(style("{msg:.dim}"))));
        let elapsed = human::duration(self.started.elapsed());
        total.set_message(format!("{} of {} steps  {elapsed}", self.steps_done, self.steps));
        total.tick();
    }

    fn print(&self, line: &str) {
        let line = if output::colour_on_stderr() {
            line.to_owned()
        } else {
            anstream::adapter::strip_str(line).to_string()
        };
        // Lines above the live ones; a vanished terminal is no reason to stop working.
        let _ = self.screen.println(line);
    }

    fn clear(&mut self) {
        for (_, step) in std::mem::take(&mut self.running) {
            step.bar.iter().for_each(ProgressBar::finish_and_clear);
        }
        self.total.take().iter().for_each(ProgressBar::finish_and_clear);
        self.steps = 0;
    }
}

/// A template that is known to be right; a wrong one falls back to indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

/// `████████░░░░`
fn bar(done: u64, total: u64) -> String {
    let share = u128::from(done.min(total)) * BAR_WIDTH as u128 / u128::from(total);
    let filled = usize::try_from(share).unwrap_or(BAR_WIDTH);
    format!("{}{}", "█".repeat(filled), "░".repeat(BAR_WIDTH - filled))
}
