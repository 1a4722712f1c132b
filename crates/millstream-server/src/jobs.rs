//! Materialising on request: it goes on when its client leaves, never twice for one view, and a shutdown waits for it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{
    error::{ApiError, ErrorKind},
    features::{MaterializeAnswer, MaterializeRequest},
    guard::Shared,
};

/// The jobs of a server.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// Views that are being materialised.
    running: Arc<Mutex<BTreeSet<String>>>,
    pub(crate) tracker: TaskTracker,
}

/// The views of a job; they are free again when it is dropped.
struct Claim {
    running: Arc<Mutex<BTreeSet<String>>>,
    views: Vec<String>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for view in &self.views {
            running.remove(view);
        }
    }
}

impl Jobs {
    /// Takes views for a job. With `force` those that another job holds are worked on all the same.
    fn claim(&self, views: &[String], force: bool) -> Result<Claim, ApiError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<&str> =
            views.iter().filter(|view| running.contains(*view)).map(String::as_str).collect();
        if !taken.is_empty() && !force {
            let message = format!("{} is being materialised", taken.join(", "));
            return Err(ApiError::new(ErrorKind::AlreadyRunning, message));
        }
        let views: Vec<String> =
            views.iter().filter(|view| running.insert((*view).clone())).cloned().collect();
        Ok(Claim { running: self.running.clone(), views })
    }
}

/// What a request to materialise asks for.
#[derive(Debug)]
pub(crate) struct Job {
    /// None is every view.
    pub(crate) views: Option<Vec<String>>,
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) incremental: bool,
    pub(crate) force: bool,
}

/// A job that was started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) views: Vec<String>,
    result: oneshot::Receiver<Result<MaterializeAnswer, ApiError>>,
}

impl Started {
    /// Waits until the job is done. The job goes on if nobody waits.
    pub(crate) async fn wait(self) -> Result<MaterializeAnswer, ApiError> {
        match self.result.await {
            Ok(result) => result,
            Err(_) => Err(ApiError::new(ErrorKind::Internal, "materialising met a defect and ended")),
        }
    }
}

/// Starts a job on tasks of its own.
///
/// # Errors
///
/// A view is not known, or another job works on it.
pub(crate) fn start(shared: &Arc<Shared>, job: Job) -> Result<Started, ApiError> {
    let known: Vec<String> = shared.backends.features.views().into_iter().map(|view| view.name).collect();
    let views = match job.views {
        None => known,
        Some(views) => {
            if let Some(unknown) = views.iter().find(|view| !known.contains(view)) {
                let error = ApiError::new(ErrorKind::UnknownView, format!("there is no view `{unknown}`"));
                return Err(error.with_field("views"));
            }
            views
        }
    };
    if let (Some(start), Some(end)) = (job.start, job.end)
        && start >= end
    {
        let error = ApiError::new(ErrorKind::Invalid, "the range ends before it starts");
        return Err(error.with_field("end"));
    }
    let claim = shared.jobs.claim(&views, job.force)?;
    let (sender, result) = oneshot::channel();
    let request = MaterializeRequest { views: views.clone(), end: job.end, incremental: job.incremental };
    let task_shared = shared.clone();
    shared.jobs.tracker.spawn(async move {
        let result = run(&task_shared, request).await;
        drop(claim);
        for failed in result.iter().flat_map(|answer| &answer.failed) {
            tracing::warn!("{} was not materialised: {}", failed.view, failed.message);
        }
        // If nobody waits any more, the log is the only place that learns of a failure.
        if let Err(Err(error)) = sender.send(result) {
            error.log();
            tracing::warn!("materialising failed: {error}");
        }
    });
    Ok(Started { views, result })
}

async fn run(shared: &Shared, request: MaterializeRequest) -> Result<MaterializeAnswer, ApiError> {
    if request.views.is_empty() {
        return Ok(MaterializeAnswer { views: Vec::new(), failed: Vec::new() });
    }
    let time = shared.limits.job_time;
    tokio::select! {
        biased;
        result = tokio::time::timeout(time, shared.backends.features.materialize(request)) => result.unwrap_or_else(|_| {
            let message = format!("materialising took longer than {} seconds", time.as_secs_f64());
            Err(ApiError::new(ErrorKind::TimedOut, message).with_hint("ask again: it continues where it stopped"))
        }),
        () = shared.hard_stop.cancelled() => Err(ApiError::new(
            ErrorKind::ShuttingDown,
            "the server stopped before the views were materialised",
        )
        .with_hint("ask again once it runs: materialising continues where it stopped")),
    }
}
