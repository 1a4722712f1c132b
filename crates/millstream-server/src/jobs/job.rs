//! One job: where it stands, and what it told so far.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use millstream_api::{
    jobs::{JobInfo, JobKind, JobProgress, JobState},
    runs::RunEvent,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{ApiError, ErrorKind},
    jobs::{JobEnd, progress},
    wire::instant,
};

/// Events that are kept of one job. Older ones are forgotten, so that a follower who resumes after them sees a gap in the ids.
const EVENTS_MAX: usize = 1_024;

/// How far back a figure is looked for that a newer one of the same thing replaces.
const REPLACED_WITHIN: usize = 32;

/// The event that ends every job's stream; its data is the job.
const ENDED: &str = "ended";

/// A job that was started.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: JobKind,
    pub(crate) about: Vec<String>,
    pub(crate) principal: String,
    /// The token that is cancelled when the job is to end before it is done.
    pub(crate) cancel: CancellationToken,
    record: Mutex<Record>,
    /// The number of changes of the record so far, for which followers wait.
    changes: watch::Sender<u64>,
}

/// The part of a job that changes while it works.
#[derive(Debug)]
struct Record {
    state: JobState,
    started: i64,
    finished: Option<i64>,
    run: Option<String>,
    progress: Option<JobProgress>,
    result: Option<Value>,
    error: Option<millstream_api::error::ErrorDetail>,
    events: VecDeque<JobEvent>,
    /// The number of the next event, from 1.
    next: u64,
}

/// One event of a job.
#[derive(Clone, Debug)]
pub(super) struct JobEvent {
    pub(super) number: u64,
    pub(super) name: &'static str,
    /// The event's data, as JSON in one line.
    pub(super) data: Arc<str>,
    /// The asset, and what is done to it, whose progress the event reports; none for other events. Newer figures of the same
    /// replace these.
    figures_of: Option<String>,
}

impl Job {
    pub(super) fn new(
        id: String,
        kind: JobKind,
        about: Vec<String>,
        principal: String,
        started: i64,
    ) -> Arc<Self> {
        let record = Record {
            // Others were looked at before they became jobs.
            state: if matches!(kind, JobKind::Run | JobKind::Backfill) {
                JobState::Starting
            } else {
                JobState::Running
            },
            started,
            finished: None,
            run: None,
            progress: None,
            result: None,
            error: None,
            events: VecDeque::new(),
            next: 1,
        };
        let (cancel, (changes, _)) = (CancellationToken::new(), watch::channel(0));
        Arc::new(Self { id, kind, about, principal, cancel, record: Mutex::new(record), changes })
    }

    pub(crate) fn info(&self) -> JobInfo {
        self.info_of(&self.record())
    }

    pub(super) fn state(&self) -> JobState {
        self.record().state
    }

    /// Learns of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The events from a number on, and whether no more will come.
    pub(super) fn events_from(&self, number: u64) -> (Vec<JobEvent>, bool) {
        let record = self.record();
        let events = record.events.iter().filter(|event| event.number >= number).cloned().collect();
        (events, record.state.is_final())
    }

    /// Asks the job to end; one that has ended stays as it is.
    pub(super) fn cancel(&self) {
        self.change(|record| {
            if !record.state.is_final() {
                record.state = JobState::Cancelling;
            }
        });
        self.cancel.cancel();
    }

    /// Records the end.
    pub(super) fn end(&self, now: i64, end: &JobEnd) {
        self.change(|record| {
            record.state = match &end.error {
                None => JobState::Succeeded,
                Some(error) if error.kind() == ErrorKind::Cancelled => JobState::Cancelled,
                Some(_) => JobState::Failed,
            };
            record.finished = Some(now);
            record.result.clone_from(&end.result);
            record.error = end.error.as_ref().map(ApiError::detail);
            let info = self.info_of(record);
            record.tell(ENDED, None, &info);
        });
    }

    fn info_of(&self, record: &Record) -> JobInfo {
        JobInfo {
            id: self.id.clone(),
            kind: self.kind,
            about: self.about.clone(),
            state: record.state,
            principal: self.principal.clone(),
            started: text(record.started),
            finished: record.finished.map(text),
            run: record.run.clone(),
            progress: record.progress.clone(),
            result: record.result.clone(),
            error: record.error.clone(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record());
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn tell(&mut self, name: &'static str, figures_of: Option<String>, data: &impl Serialize) {
        // These are structs of numbers and texts, which always have a form in JSON.
        let Ok(data) = serde_json::to_string(data) else { return };
        if figures_of.is_some() {
            let newest = self.events.iter().enumerate().rev().take(REPLACED_WITHIN);
            let replaced = newest.filter(|(_, event)| event.figures_of == figures_of).map(|(place, _)| place);
            if let Some(place) = { replaced }.next() {
                self.events.remove(place);
            }
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(JobEvent { number: self.next, name, data: data.into(), figures_of });
        self.next += 1;
    }

    /// Records that the work has begun, unless it was told to end meanwhile.
    fn begin(&mut self) {
        if self.state == JobState::Starting {
            self.state = JobState::Running;
        }
    }
}

/// By which work says how far it is, and learns that it should end.
#[derive(Clone, Debug)]
pub struct JobReporter(pub(super) Arc<Job>);

impl JobReporter {
    /// Cancelled when the work should end before it is done.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Who asked for the work.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.0.principal
    }

    /// Tells what happened in the work. A thread of work that was given up may still tell something: a job that has ended
    /// stays as it is.
    pub fn event(&self, event: &RunEvent) {
        self.0.change(|record| {
            if record.state.is_final() {
                return;
            }
            record.begin();
            if let RunEvent::RunStarted { run, .. } = event {
                record.run = Some(run.clone());
            }
            record.progress = Some(progress::after(self.0.kind, record.progress.take(), event));
            let figures_of = match event {
                RunEvent::StepProgress { asset, doing, .. } => {
                    Some(format!("{asset} {}", doing.as_deref().unwrap_or_default()))
                }
                _ => None,
            };
            record.tell(progress::name(event), figures_of, event);
        });
    }
}

/// An instant in microseconds since 1970 as RFC 3339 text.
fn text(micros: i64) -> String {
    let mut out = Vec::new();
    instant::write_micros(&mut out, micros);
    String::from_utf8(out).unwrap_or_default()
}
