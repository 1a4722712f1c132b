//! Tables held still: each at the version at which it was first touched, or at one that was asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use millstream_lake::{At, Snapshot};
use millstream_sql::{Resolved, SqlError, SqlSession, TableResolver};
use millstream_types::TableName;

use crate::{
    EngineError, ReadSet,
    engine::World,
    resolver::{LakeResolver, provider},
    sets::snapshot_in,
};

/// Resolves every table once and remembers which version it was.
#[derive(Debug)]
pub(crate) struct Pinning {
    world: Arc<World>,
    names: LakeResolver,
    pinned: Mutex<BTreeMap<TableName, Arc<Snapshot>>>,
    /// Tables that are treated as not there yet.
    absent: BTreeSet<TableName>,
    /// The versions at which tables are met.
    set: ReadSet,
}

impl Pinning {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            names: LakeResolver::new(world.lake.clone(), world.project.clone()),
            pinned: Mutex::default(),
            absent: BTreeSet::new(),
            set: ReadSet::default(),
        }
    }

    /// Holds tables at the versions that `set` has.
    pub(crate) fn reading(mut self, set: ReadSet) -> Self {
        self.set = set;
        self
    }

    /// A pinning that holds these tables at these versions, and others as they are met.
    pub(crate) async fn at(
        world: &Arc<World>,
        versions: &BTreeMap<TableName, i64>,
    ) -> Result<Self, EngineError> {
        let pinning = Self::new(world);
        for (table, version) in versions {
            let snapshot = world.lake.snapshot(table, At::Version(*version)).await?;
            let snapshot = snapshot.ok_or_else(|| EngineError::NeverBuilt { table: table.clone() })?;
            pinning.remember(snapshot);
        }
        Ok(pinning)
    }

    /// Treats these tables as not there yet, where they may be missing.
    pub(crate) fn without(mut self, absent: BTreeSet<TableName>) -> Self {
        self.absent = absent;
        self
    }

    /// Holds these tables, and behind SQL views those that they read. A table that was never built is an error.
    pub(crate) async fn pin(&self, tables: &[TableName]) -> Result<(), EngineError> {
        let project = &self.world.project;
        for table in tables {
            if project.is_view(table) {
                for id in project.graph.stored_inputs(&table.asset_id()) {
                    self.pin_stored(&crate::assets::table_of(id)?).await?;
                }
            } else {
                self.pin_stored(table).await?;
            }
        }
        Ok(())
    }

    async fn pin_stored(&self, table: &TableName) -> Result<(), EngineError> {
        match self.pin_if_there(table).await? {
            true => Ok(()),
            // The table of rejected rows is missing as long as nothing was rejected.
            false if table.is_rejected() => Ok(()),
            false => Err(EngineError::NeverBuilt { table: table.clone() }),
        }
    }

    /// Holds a table that may not exist, and returns whether it does.
    pub(crate) async fn pin_if_there(&self, table: &TableName) -> Result<bool, EngineError> {
        if self.absent.contains(table) {
            return Ok(false);
        }
        if self.snapshots().contains_key(table) {
            return Ok(true);
        }
        let snapshot = snapshot_in(&self.world.lake, &self.set, table).await?;
        Ok(snapshot.map(|snapshot| self.remember(snapshot)).is_some())
    }

    /// Holds a table at this version instead, from here on.
    pub(crate) async fn hold_at(&self, table: &TableName, version: i64) -> Result<(), EngineError> {
        let snapshot = self.world.lake.snapshot(table, At::Version(version)).await?;
        let snapshot = snapshot.ok_or_else(|| EngineError::NeverBuilt { table: table.clone() })?;
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.insert(table.clone(), snapshot);
        Ok(())
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// A session over the tables as they are held.
    pub(crate) fn session(self: &Arc<Self>) -> SqlSession {
        self.world.sql.with_resolver(self.clone())
    }

    /// The snapshots of the tables that were touched so far.
    pub(crate) fn snapshots(&self) -> BTreeMap<TableName, Arc<Snapshot>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The versions of the tables that were touched so far.
    pub(crate) fn versions(&self) -> BTreeMap<TableName, i64> {
        self.snapshots().into_iter().map(|(table, snapshot)| (table, snapshot.version())).collect()
    }

    fn remember(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.entry(snapshot.table().clone()).or_insert(snapshot).clone()
    }
}

#[async_trait]
impl TableResolver for Pinning {
    async fn resolve(&self, table: &TableName, at: At) -> Result<Option<Resolved>, SqlError> {
        if at != At::Latest {
            return self.names.resolve(table, at).await;
        }
        let known = self.snapshots().remove(table);
        let snapshot = match known {
            Some(snapshot) => snapshot,
            None if self.world.project.is_view(table) => return self.names.resolve(table, at).await,
            None => match snapshot_in(&self.world.lake, &self.set, table).await.map_err(SqlError::lake)? {
                Some(snapshot) => self.remember(snapshot),
                None => return self.names.resolve(table, at).await,
            },
        };
        let rows = provider(&self.world.lake, &snapshot).map_err(SqlError::lake)?;
        Ok(Some(Resolved::Table(rows)))
    }

    fn known_tables(&self) -> Vec<TableName> {
        self.names.known_tables()
    }
}
