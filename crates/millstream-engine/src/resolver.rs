//! Resolves names in SQL to tables of the lake.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use datafusion::{catalog::TableProvider, datasource::empty::EmptyTable};
use millstream_lake::{At, Lake, LakeError, LakeTable, Snapshot};
use millstream_quality::rejected_schema;
use millstream_sql::{Resolved, SqlError, TableResolver};
use millstream_types::TableName;

use crate::{
    EngineError, Project, ReadSet, engine::World, live_rows::live_rows, run::chain, sets::snapshot_in,
};

/// Resolves every name to the lake's table at the time that the query asks for, and the name of a view to its SQL.
#[derive(Debug)]
pub(crate) struct LakeResolver {
    lake: Lake,
    project: Arc<Project>,
    /// Tables whose version is fixed for the whole session, whatever is committed meanwhile.
    pinned: BTreeMap<TableName, Arc<Snapshot>>,
    /// The versions that are read where the query names none.
    set: ReadSet,
    /// The world whose streaming sources are read as they are at this moment; `None` where what has landed is what counts.
    live: Option<Arc<World>>,
    /// Where it is noted what is read, if somebody wants to know.
    noted: Option<ReadTables>,
}

/// The tables and views that a statement reads as they are served, without those of which it names a version or a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadTables(Arc<Mutex<BTreeSet<TableName>>>);

impl ReadTables {
    pub(crate) fn get(&self) -> BTreeSet<TableName> {
        self.set().clone()
    }

    fn set(&self) -> MutexGuard<'_, BTreeSet<TableName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LakeResolver {
    pub(crate) fn new(lake: Lake, project: Arc<Project>) -> Self {
        Self { lake, project, pinned: BTreeMap::new(), set: ReadSet::default(), live: None, noted: None }
    }

    pub(crate) fn reading(mut self, set: ReadSet) -> Self {
        self.set = set;
        self
    }

    /// Reads streaming sources with what is only in the event log yet.
    pub(crate) fn live(mut self, world: &Arc<World>) -> Self {
        self.live = Some(world.clone());
        self
    }

    /// The rows of a streaming source, or of a continuous table that is at work in this process, at this moment; `None` for other tables, and where
    /// those are not asked for.
    async fn live_rows(&self, table: &TableName) -> Result<Option<Arc<dyn TableProvider>>, SqlError> {
        let Some(world) = &self.live else { return Ok(None) };
        let told = |error: EngineError| SqlError::Execution { message: chain(&error) };
        let Some(source) = self.project.source(table) else {
            return world.live.read(&self.lake, table).await.map_err(told);
        };
        if world.intake(&source.name).is_none() {
            return Ok(None);
        }
        live_rows(world, source).await.map_err(told)
    }

    /// Whether the table is that of a continuous table's late rows.
    fn is_late(&self, table: &TableName) -> bool {
        let owner = table.late_of().and_then(|owner| self.project.table(&owner));
        owner.is_some_and(|spec| spec.materialize.stream().is_some())
    }

    pub(crate) fn noting(mut self, tables: &ReadTables) -> Self {
        self.noted = Some(tables.clone());
        self
    }

    pub(crate) fn pinned(mut self, pinned: BTreeMap<TableName, Arc<Snapshot>>) -> Self {
        self.pinned = pinned;
        self
    }
}

#[async_trait]
impl TableResolver for LakeResolver {
    async fn resolve(&self, table: &TableName, at: At) -> Result<Option<Resolved>, SqlError> {
        if let Some(noted) = self.noted.as_ref().filter(|_| at == At::Latest) {
            noted.set().insert(table.clone());
        }
        let definition = self.project.table(table);
        if let Some(view) = definition.filter(|spec| spec.materialize.is_view()) {
            return Ok(Some(Resolved::View { sql: view.sql.value.clone() }));
        }
        if at == At::Latest
            && let Some(rows) = self.live_rows(table).await?
        {
            return Ok(Some(Resolved::Table(rows)));
        }
        let pinned = self.pinned.get(table).filter(|_| at == At::Latest).cloned();
        let snapshot = match pinned {
            Some(snapshot) => Some(snapshot),
            None if at == At::Latest => {
                snapshot_in(&self.lake, &self.set, table).await.map_err(SqlError::lake)?
            }
            None => self.lake.snapshot(table, at).await.map_err(SqlError::lake)?,
        };
        match snapshot {
            Some(snapshot) => {
                let provider = provider(&self.lake, &snapshot).map_err(SqlError::lake)?;
                Ok(Some(Resolved::Table(provider)))
            }
            // Nothing was rejected yet.
            None if (table.is_rejected() || self.is_late(table)) && at == At::Latest => {
                let empty = EmptyTable::new(rejected_schema());
                Ok(Some(Resolved::Table(Arc::new(empty))))
            }
            None => Ok(None),
        }
    }

    fn known_tables(&self) -> Vec<TableName> {
        self.project.asset_tables().collect()
    }
}

/// A provider over all files of a snapshot.
pub(crate) fn provider(lake: &Lake, snapshot: &Snapshot) -> Result<Arc<dyn TableProvider>, LakeError> {
    LakeTable::new(lake, snapshot.schema(), snapshot.files().to_vec())
}
