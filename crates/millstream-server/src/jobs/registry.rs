//! The jobs of a server: those at work, what they work on, and a bounded memory of those that ended.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use indexmap::IndexMap;
use millstream_api::jobs::JobKind;
use tokio_util::task::TaskTracker;

use super::job::Job;
use crate::{
    error::{ApiError, ErrorKind},
    principal::Principal,
};

/// The most jobs that work at the same time.
const RUNNING_MAX: usize = 64;

/// The number of ended jobs that the server remembers.
const ENDED_MAX: usize = 200;

/// The names that jobs have claimed, by kind of job. Without force, one job of a kind at a time works on each name.
type Claimed = Arc<Mutex<BTreeSet<(JobKind, String)>>>;

/// The jobs of a server.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// The jobs by id, in the order in which they were started.
    known: Mutex<IndexMap<String, Arc<Job>>>,
    claimed: Claimed,
    count: AtomicU64,
    pub(crate) tracker: TaskTracker,
}

/// What somebody wants to have done.
#[derive(Debug)]
pub(crate) struct JobOrder {
    pub(crate) kind: JobKind,
    pub(crate) about: Vec<String>,
    pub(crate) principal: Principal,
    /// The names that no other job of the kind may work on while this one does.
    pub(crate) claims: Vec<String>,
    /// Whether the job may work on names that another job has claimed.
    pub(crate) force: bool,
}

/// What a job has claimed; it is free again when this is dropped.
pub(super) struct Claim {
    claimed: Claimed,
    kind: JobKind,
    names: Vec<String>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        for name in self.names.drain(..) {
            claimed.remove(&(self.kind, name));
        }
    }
}

impl Jobs {
    /// Admits a job: registers it with its claims, or refuses it.
    pub(super) fn admit(&self, order: JobOrder, now: i64) -> Result<(Arc<Job>, Claim), ApiError> {
        let JobOrder { kind, about, principal, claims, force } = order;
        let mut known = self.known();
        let running = known.values().filter(|job| !job.state().is_final()).count();
        if running >= RUNNING_MAX {
            let message = format!("{running} jobs are at work, which is the server's limit");
            return Err(ApiError::new(ErrorKind::Busy, message));
        }
        let claim = self.claim(kind, claims, force)?;
        // A client that remembers a job of an earlier process must not find another one: no two start at one time.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("{now:x}-{count}");
        let job = Job::new(id.clone(), kind, about, principal.name, now);
        known.insert(id, job.clone());
        Ok((job, claim))
    }

    fn claim(&self, kind: JobKind, names: Vec<String>, force: bool) -> Result<Claim, ApiError> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = |name: &&String| claimed.contains(&(kind, (*name).clone()));
        let taken: Vec<&str> = names.iter().filter(is_taken).map(String::as_str).collect();
        if !taken.is_empty() && !force {
            let doing = match kind {
                JobKind::Materialize => "materialised",
                JobKind::Dataset => "built",
                JobKind::Run => "run",
                JobKind::Backfill => "filled",
            };
            let message = format!("{} is being {doing}", taken.join(", "));
            return Err(ApiError::new(ErrorKind::AlreadyRunning, message));
        }
        let names = names.into_iter().filter(|name| claimed.insert((kind, name.clone()))).collect();
        Ok(Claim { claimed: self.claimed.clone(), kind, names })
    }

    /// Forgets a job that was refused.
    pub(super) fn forget(&self, id: &str) {
        self.known().shift_remove(id);
    }

    /// Forgets the oldest jobs of those that ended, when they are too many.
    pub(super) fn forget_old(&self) {
        let mut known = self.known();
        let ended = known.values().filter(|job| job.state().is_final()).count();
        let mut surplus = ended.saturating_sub(ENDED_MAX);
        known.retain(|_, job| {
            let forgotten = surplus > 0 && job.state().is_final();
            surplus -= usize::from(forgotten);
            !forgotten
        });
    }

    /// All jobs that are known, newest first.
    pub(super) fn all(&self) -> Vec<Arc<Job>> {
        self.known().values().rev().cloned().collect()
    }

    /// The job of this id.
    pub(super) fn get(&self, id: &str) -> Result<Arc<Job>, ApiError> {
        let unknown = || ApiError::new(ErrorKind::UnknownJob, format!("there is no job `{id}`"));
        self.known().get(id).cloned().ok_or_else(unknown)
    }

    fn known(&self) -> MutexGuard<'_, IndexMap<String, Arc<Job>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
