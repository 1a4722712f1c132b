//! The project's files while it is served: what somebody saves is at work within a second.
//!
//! The files are looked at again and again instead of asking the system to tell of changes, which network file systems and many
//! containers do not. A look reads no file.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_project::ProjectStamp;
use millstream_server::{ErrorKind, ProjectBackend};
use tokio_util::sync::CancellationToken;

use super::{Backend, told::tell_loaded};

/// The time between two looks, and the longest for a project whose looks take long.
const LOOK: Duration = Duration::from_millis(400);
const LOOK_MAX: Duration = Duration::from_millis(800);

/// A look may take this share of the time, as far as the longest pause allows.
const LOOK_SHARE: u32 = 100;

/// How long the files have to stay as they are before they are read: somebody who saves several is not done with the first. Where files
/// are gone that were there, a folder may be about to be replaced, which takes longer.
const SETTLED: Duration = Duration::from_millis(200);
const SETTLED_GONE: Duration = Duration::from_secs(2);

/// After so long it is told that files which change all the time are not read.
const SETTLED_TOLD: Duration = Duration::from_secs(60);

/// How soon a project is read again that was not taken over because a store did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// Looks at the files of one project.
pub(crate) struct Watcher {
    root: PathBuf,
    /// The files as they were before they were read last.
    read: ProjectStamp,
}

impl Watcher {
    /// Takes note of the files of the project at `root` as they are, before they are read for the first time.
    pub(crate) fn of(root: PathBuf) -> Self {
        let read = ProjectStamp::of(&root);
        Self { root, read }
    }

    /// Takes over what is saved, until `cancel`.
    pub(crate) async fn watch(mut self, backend: Arc<Backend>, cancel: CancellationToken, is_told: bool) {
        let watched = async {
            loop {
                let (now, took) = self.look().await;
                if now == self.read {
                    tokio::time::sleep((took * LOOK_SHARE).clamp(LOOK, LOOK_MAX)).await;
                    continue;
                }
                self.read = self.settled(now).await;
                let mut loaded = backend.reload().await;
                tell_loaded(&loaded, is_told);
                while loaded.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
                    tokio::time::sleep(AGAIN).await;
                    let now = self.look().await.0;
                    self.read = self.settled(now).await;
                    loaded = backend.reload().await;
                }
            }
        };
        tokio::select! {
            () = watched => {}
            () = cancel.cancelled() => {}
        }
    }

    /// The files once nobody writes to them any more.
    async fn settled(&self, mut before: ProjectStamp) -> ProjectStamp {
        let (began, mut is_told) = (Instant::now(), false);
        loop {
            let is_less = !self.read.is_among(&before);
            tokio::time::sleep(if is_less { SETTLED_GONE } else { SETTLED }).await;
            let (now, _) = self.look().await;
            if now == before {
                return now;
            }
            before = now;
            if began.elapsed() > SETTLED_TOLD && !std::mem::replace(&mut is_told, true) {
                tracing::warn!("the project's files change all the time; they are taken over once they rest");
            }
        }
    }

    async fn look(&self) -> (ProjectStamp, Duration) {
        let (root, began) = (self.root.clone(), Instant::now());
        let look = tokio::task::spawn_blocking(move || ProjectStamp::of(&root));
        let stamp = look.await.unwrap_or_else(|_| self.read.clone());
        (stamp, began.elapsed())
    }
}
