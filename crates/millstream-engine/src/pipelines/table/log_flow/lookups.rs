//! The lake tables in which a continuous table looks rows up, each at the version that was read last.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use millstream_lake::At;
use millstream_sql::stream::{LookupRows, LookupTable, StreamLookup, StreamPlan};

use crate::{EngineError, engine::World, resolver::provider, stored};

/// The rows of lake tables.
pub(super) struct Lookups {
    world: Arc<World>,
    plan: Arc<StreamPlan>,
    read: Mutex<Vec<Option<Read>>>,
}

/// The rows of one version.
#[derive(Clone)]
struct Read {
    version: i64,
    rows: Arc<LookupTable>,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("table", self.plan.table()).finish_non_exhaustive()
    }
}

impl Lookups {
    pub(super) fn new(world: &Arc<World>, plan: &Arc<StreamPlan>) -> Self {
        let read = Mutex::new(plan.lookups().iter().map(|_| None).collect());
        Self { world: world.clone(), plan: plan.clone(), read }
    }

    /// Reads the tables that have another version than was read last.
    ///
    /// # Errors
    ///
    /// A table cannot be read, was never built, or has two rows of one key.
    pub(super) async fn refresh(&self) -> Result<(), EngineError> {
        for (number, lookup) in self.plan.lookups().iter().enumerate() {
            let table = &lookup.table;
            let snapshot = self.world.lake.snapshot(table, At::Latest).await?;
            let snapshot = snapshot.ok_or_else(|| EngineError::NeverBuilt { table: table.clone() })?;
            if self.version(number) == Some(snapshot.version()) {
                continue;
            }
            let rows = self.rows_of(lookup, &snapshot).await?;
            let read = Some(Read { version: snapshot.version(), rows: Arc::new(rows) });
            let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = known.get_mut(number) {
                *known = read;
            }
        }
        Ok(())
    }

    async fn rows_of(
        &self,
        lookup: &StreamLookup,
        snapshot: &millstream_lake::Snapshot,
    ) -> Result<LookupTable, EngineError> {
        let columns: Vec<String> = lookup.schema.fields().iter().map(|field| field.name().clone()).collect();
        let rows = provider(&self.world.lake, snapshot)?;
        let rows = stored::scan(&self.world, &lookup.table, rows, &columns, None).await?;
        let rows: Vec<RecordBatch> =
            rows.try_collect().await.map_err(|source| stored::failed(&lookup.table, source))?;
        lookup.table(&rows).map_err(|source| EngineError::Sql { table: self.plan.table().clone(), source })
    }

    fn version(&self, lookup: usize) -> Option<i64> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(lookup)?.as_ref().map(|read| read.version)
    }
}

impl LookupRows for Lookups {
    fn rows(&self, lookup: usize) -> Option<Arc<LookupTable>> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(lookup)?.as_ref().map(|read| read.rows.clone())
    }
}
