//! What the server asks, answered by the engine: opened once, and one file for each area beside this one.

use std::{mem::ManuallyDrop, num::NonZeroUsize};

use millstream_engine::{Clock, Engine, FeatureServer, Queries, SystemClock};
use millstream_server::JobBackend;
use millstream_types::{Percent, TableName};

use crate::{CliError, project::cores};

/// The engine as a server's backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(super) engine: Engine,
    pub(super) features: FeatureServer,
    /// What a dataset's build may hold in memory.
    pub(super) memory_bytes: usize,
    /// The threads of the queries end with the process: one that ends while it is let go may be touched once more.
    pub(super) queries: ManuallyDrop<Queries>,
}

impl Backend {
    /// Loads every service that is served; `sample` is the share of the reads that are kept for comparison.
    pub(crate) async fn open(
        engine: &Engine,
        sample: Percent,
        memory_bytes: usize,
    ) -> Result<Self, CliError> {
        let features = FeatureServer::open(engine, sample.fraction()).await?;
        // One core is left to everything else that the server answers.
        let threads = NonZeroUsize::new(cores().get() - 1).unwrap_or(NonZeroUsize::MIN);
        let queries = ManuallyDrop::new(Queries::open(engine, threads)?);
        Ok(Self { engine: engine.clone(), features, memory_bytes, queries })
    }

    /// Views without any rows in the online store.
    pub(crate) async fn never_materialized(&self) -> Result<Vec<String>, CliError> {
        Ok(self.features.never_materialized().await?)
    }

    /// Tables of pushed rows that no view reads.
    pub(crate) async fn unread_pushes(&self) -> Result<Vec<TableName>, CliError> {
        Ok(self.features.unread_pushes().await?)
    }

    /// Writes what is still in memory.
    pub(crate) async fn close(&self) -> Result<(), CliError> {
        Ok(self.features.close().await?)
    }
}

impl JobBackend for Backend {
    fn now(&self) -> i64 {
        SystemClock.now().0
    }
}
