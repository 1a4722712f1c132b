//! The log of each step that runs in this process: what the step notes, how its attempts fail, and what the process logs from
//! within the step's span. Lines go to the state store within a second, and what is left when the step ends, so that they can be
//! shown with the run, whoever kept the process's own log, and nearly all of them when the process is killed.
//!
//! The log is bounded: of a step that has much to say the first [`FIRST_MAX`] lines are kept and the last [`LAST_MAX`].

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    fmt,
    pin::pin,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use millstream_project::cover;
use millstream_state::{LogLevel, LogLine, State};
use millstream_types::{AssetId, RunId};

use crate::{Clock, EngineError, run::chain};

/// The lines from the beginning of a step that are kept.
const FIRST_MAX: usize = 400;

/// The lines from the end of a step that are kept where there are more.
const LAST_MAX: usize = 100;

/// The characters of a line.
const LINE_MAX: usize = 2_000;

/// How long a line waits to be kept.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// The logs of all steps that run in this process. Lines come from wherever something is logged, which knows nothing but the ids
/// of the step, so that the logs are as wide as the process.
static OPEN: LazyLock<Mutex<HashMap<Id, Arc<Mutex<StepLog>>>>> = LazyLock::new(Mutex::default);

/// The ids of a run and of an asset.
type Id = (String, String);

/// Adds a line to the log of a step. Lines of steps that do not run here are nobody's.
pub fn log_line(run: &str, asset: &str, level: LogLevel, message: &str) {
    let log = locked(&OPEN).get(&(run.to_owned(), asset.to_owned())).cloned();
    if let Some(log) = log {
        locked(&log).push(level, message);
    }
}

/// Adds that an attempt at a step has failed to its log. One that was cancelled has not.
pub(crate) fn attempt_failed(run: &RunId, asset: &AssetId, error: &EngineError) {
    if !matches!(error, EngineError::Cancelled) {
        let message = format!("an attempt has failed: {} ({})", chain(error), error.code());
        log_line(run.as_str(), asset.as_str(), LogLevel::Error, &message);
    }
}

/// The logs of the steps of one run, which end with this value at the latest.
pub(crate) struct RunLogs {
    run: RunId,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RunLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLogs").field("run", &self.run).finish_non_exhaustive()
    }
}

impl RunLogs {
    pub(crate) fn new(run: RunId, state: Arc<State>, clock: Arc<dyn Clock>) -> Self {
        Self { run, state, clock }
    }

    /// Begins the log of a step, or goes on with it.
    pub(crate) fn begin(&self, asset: &AssetId) {
        let new = || Arc::new(Mutex::new(StepLog::new(self.clock.clone())));
        locked(&OPEN).entry(self.id(asset)).or_insert_with(new);
    }

    /// Does the work of a step, and keeps what it logs meanwhile.
    pub(crate) async fn keeping<T>(&self, asset: &AssetId, work: impl Future<Output = T>) -> T {
        let (work, writing) = (pin!(work), pin!(self.keep_writing(asset)));
        tokio::select! {
            biased;
            done = work => done,
            never = writing => match never {},
        }
    }

    async fn keep_writing(&self, asset: &AssetId) -> Infallible {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            self.write(asset).await;
        }
    }

    /// Ends the log of a step that is about to be recorded, whose last lines are kept.
    pub(crate) async fn end(&self, asset: &AssetId) {
        if let Some(log) = self.log(asset) {
            locked(&log).close();
        }
        self.write(asset).await;
        locked(&OPEN).remove(&self.id(asset));
    }

    async fn write(&self, asset: &AssetId) {
        let Some(log) = self.log(asset) else { return };
        // The lines stay until they are known to be kept: this may be dropped in the midst of it.
        let lines: Vec<_> = locked(&log).unwritten.iter().cloned().collect();
        if lines.is_empty() {
            return;
        }
        match self.state.keep_log(&self.run, asset, &lines).await {
            Ok(()) => drop(locked(&log).unwritten.drain(..lines.len())),
            Err(error) => tracing::warn!(%asset, %error, "lines of a step's log were not kept"),
        }
    }

    fn log(&self, asset: &AssetId) -> Option<Arc<Mutex<StepLog>>> {
        locked(&OPEN).get(&self.id(asset)).cloned()
    }

    fn id(&self, asset: &AssetId) -> Id {
        (self.run.as_str().to_owned(), asset.as_str().to_owned())
    }
}

impl Drop for RunLogs {
    fn drop(&mut self) {
        locked(&OPEN).retain(|(run, _), _| run != self.run.as_str());
    }
}

/// The lines of one step that are not kept yet.
struct StepLog {
    clock: Arc<dyn Clock>,
    /// The place of the next line.
    next: u64,
    unwritten: VecDeque<LogLine>,
    /// The last lines, once there are more than the first ones.
    last: VecDeque<LogLine>,
    left_out: u64,
}

impl StepLog {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, next: 0, unwritten: VecDeque::new(), last: VecDeque::new(), left_out: 0 }
    }

    fn push(&mut self, level: LogLevel, message: &str) {
        let line = LogLine { line: self.next, at: self.clock.now(), level, message: shortened(message) };
        self.next += 1;
        if line.line < FIRST_MAX as u64 {
            self.unwritten.push_back(line);
            return;
        }
        if self.last.len() == LAST_MAX {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line);
    }

    /// Nothing follows: the last lines are to be kept, and how many are not.
    fn close(&mut self) {
        if let Some(first) = self.last.front().filter(|_| self.left_out > 0) {
            let message = format!("{} lines are left out here", self.left_out);
            let line = first.line.saturating_sub(1);
            self.unwritten.push_back(LogLine { line, at: first.at, level: LogLevel::Info, message });
        }
        self.unwritten.extend(self.last.drain(..));
        self.left_out = 0;
    }
}

/// The line without credentials, and not longer than lines may be.
fn shortened(message: &str) -> String {
    let covered = cover(message.trim_end()).text;
    match covered.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}…", covered.get(..end).unwrap_or_default()),
        None => covered.into_owned(),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use millstream_types::TimestampMicros;

    use super::*;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> TimestampMicros {
            TimestampMicros(7)
        }
    }

    fn lines(count: u64) -> Vec<(u64, String)> {
        let mut log = StepLog::new(Arc::new(Still));
        (0..count).for_each(|number| log.push(LogLevel::Info, &format!("{number}\n")));
        log.close();
        log.unwritten.into_iter().map(|line| (line.line, line.message)).collect()
    }

    #[test]
    fn the_first_and_the_last_lines_are_kept_and_the_others_are_counted() {
        let plain =
            |from: u64, to: u64| (from..to).map(|number| (number, number.to_string())).collect::<Vec<_>>();
        assert_eq!(lines(0), []);
        assert_eq!(lines(400), plain(0, 400));
        assert_eq!(lines(500), plain(0, 500));
        let note = (400, "1 lines are left out here".to_owned());
        assert_eq!(lines(501), [plain(0, 400), vec![note], plain(401, 501)].concat());
        let note = (899, "500 lines are left out here".to_owned());
        assert_eq!(lines(1_000), [plain(0, 400), vec![note], plain(900, 1_000)].concat());
    }

    #[test]
    fn lines_are_bounded_and_credentials_covered() {
        let mut log = StepLog::new(Arc::new(Still));
        log.push(LogLevel::Warn, &"ü".repeat(9_000));
        log.push(LogLevel::Warn, "postgres://me:secret@host/db failed");
        let texts: Vec<_> = log.unwritten.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts[0].chars().count(), LINE_MAX + 1);
        assert!(!texts[1].contains("secret"), "{}", texts[1]);
    }

    #[test]
    fn lines_of_steps_that_do_not_run_are_nobodys() {
        log_line("no run", "silver.t", LogLevel::Info, "x");
        assert!(!locked(&OPEN).contains_key(&("no run".to_owned(), "silver.t".to_owned())));
    }
}
