//! The embedded log passes the suite of all logs.

use std::sync::Arc;

use futures::future::BoxFuture;
use millstream_log::{
    EmbeddedLog, EmbeddedOptions, EventLog, LogError,
    conformance::{Fixture, check},
};
use tempfile::TempDir;

use crate::place::TestClock;

struct Embedded {
    folder: TempDir,
    clock: TestClock,
    segment_bytes: u64,
    open: Option<Arc<EmbeddedLog>>,
}

impl Fixture for Embedded {
    fn open(&mut self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, LogError>> {
        Box::pin(async move {
            if let Some(open) = self.open.take() {
                open.close().await?;
            }
            let clock = self.clock.clone();
            let mut options =
                EmbeddedOptions::new(self.folder.path().join("log"), Arc::new(move || clock.now()));
            options.segment_bytes = self.segment_bytes;
            let log = EmbeddedLog::open(options).await?;
            self.open = Some(Arc::clone(&log));
            Ok(log as Arc<dyn EventLog>)
        })
    }

    fn advance(&mut self, milliseconds: i64) -> bool {
        self.clock.advance(milliseconds);
        true
    }
}

async fn suite(segment_bytes: u64) {
    let folder = TempDir::new().unwrap();
    let mut embedded = Embedded { folder, clock: TestClock::new(), segment_bytes, open: None };
    check(&mut embedded).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_segment() {
    suite(128 << 20).await;
}

/// Every few batches begin another segment, so that each step crosses their borders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_segments() {
    suite(500).await;
}
