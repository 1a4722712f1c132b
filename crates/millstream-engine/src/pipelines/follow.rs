//! The rows of a table as they become visible, for somebody who follows it.
//!
//! Rows are read from the table's own commits when they are asked for. Nothing waits in memory for somebody who is slow: who falls behind reads what the versions
//! still have, and who falls behind what they keep is told so.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
};
use datafusion::execution::SendableRecordBatchStream;
use futures::{TryStreamExt, future::BoxFuture};
use millstream_lake::{At, DataFile, LakeTable};
use millstream_types::TableName;

use super::{PipelineChange, PipelineTold};
use crate::{Engine, EngineError, Event, Heard, Subscription, WorkChange, WorkEvent, engine::World, stored};

/// How often it is looked for a version that nobody in this process told of.
const LOOK: Duration = Duration::from_secs(1);

/// Somebody who follows a table.
pub struct FollowedTable {
    world: Arc<World>,
    table: TableName,
    /// The version whose rows have all been given.
    version: i64,
    /// The rows of the next version that were given before this began.
    skip: u64,
    current: Option<Commit>,
    heard: Subscription,
}

/// Rows that became visible together, or a part of them.
#[derive(Clone, Debug)]
pub struct FollowedRows {
    pub version: i64,
    /// The number of the first of the rows among those of the version.
    pub first: u64,
    pub rows: RecordBatch,
}

/// The rows of one commit, file after file.
struct Commit {
    version: i64,
    schema: SchemaRef,
    /// The files whose rows are still to be read, the next one last.
    files: Vec<DataFile>,
    rows: Option<SendableRecordBatchStream>,
    /// The number of rows that were given or passed over.
    given: u64,
    stayed: Stayed,
}

/// Rows that a commit only moved from one file to another, with how often each of them is still to come.
struct Stayed {
    converter: RowConverter,
    rows: HashMap<Box<[u8]>, u64>,
}

impl fmt::Debug for FollowedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowedTable")
            .field("table", &self.table)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Follows a table: the rows that became visible after a row of a version, or those that will from now on.
    ///
    /// # Errors
    ///
    /// There is no such table.
    pub fn follow<'a>(
        &'a self,
        table: &'a str,
        after: Option<(i64, u64)>,
    ) -> BoxFuture<'a, Result<FollowedTable, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let heard = world.events.subscribe();
            let unknown = || EngineError::UnknownAsset { name: table.to_owned(), nearest: None };
            let table: TableName = table.parse().map_err(|_| unknown())?;
            if world.project.graph.get(&table.asset_id()).is_none() {
                return Err(unknown());
            }
            let newest = world.lake.snapshot(&table, At::Latest).await?;
            let newest = newest.ok_or_else(|| EngineError::NeverBuilt { table: table.clone() })?;
            let (version, skip) = match after {
                None => (newest.version(), 0),
                Some((version, row)) => (version - 1, row.saturating_add(1)),
            };
            Ok(FollowedTable { world: world.clone(), table, version, skip, current: None, heard })
        })
    }
}

impl FollowedTable {
    /// The next rows, which are waited for.
    ///
    /// # Errors
    ///
    /// The table's versions since the last rows are kept no longer, or cannot be read.
    pub fn next(&mut self) -> BoxFuture<'_, Result<FollowedRows, EngineError>> {
        Box::pin(async move {
            loop {
                if let Some(commit) = &mut self.current {
                    match commit.next(&self.world, &self.table).await? {
                        Some(rows) => match passed_over(rows, &mut self.skip) {
                            Some(rows) => return Ok(rows),
                            None => continue,
                        },
                        None => {
                            self.version = commit.version;
                            self.skip = 0;
                            self.current = None;
                        }
                    }
                }
                match self.newer().await? {
                    Some(commit) => self.current = Some(commit),
                    None => self.wait().await,
                }
            }
        })
    }

    /// The next commit that changes rows.
    async fn newer(&mut self) -> Result<Option<Commit>, EngineError> {
        let lake = &self.world.lake;
        let newest = lake.snapshot(&self.table, At::Latest).await?;
        let newest = newest.ok_or_else(|| EngineError::NeverBuilt { table: self.table.clone() })?;
        if newest.version() <= self.version {
            return Ok(None);
        }
        let version = self.version + 1;
        if version == 0 {
            let first = lake.snapshot(&self.table, At::Version(0)).await?;
            let first = first.ok_or_else(|| EngineError::NeverBuilt { table: self.table.clone() })?;
            let stayed = Stayed::of(&self.world, &self.table, &first.schema(), Vec::new()).await?;
            return Ok(Some(Commit::new(version, first.schema(), first.files().to_vec(), stayed)));
        }
        let changes = lake.changes(&self.table, self.version, version).await?;
        let stayed = Stayed::of(&self.world, &self.table, &changes.to_schema, changes.removed).await?;
        Ok(Some(Commit::new(version, changes.to_schema, changes.added, stayed)))
    }

    /// Waits until the table may have another version.
    async fn wait(&mut self) {
        let asset = self.table.asset_id();
        let told = async {
            loop {
                match self.heard.hear().await {
                    Some(Heard::Change(WorkEvent { change: WorkChange::Told(event), .. })) => {
                        let is_of_it = match event.as_ref() {
                            Event::Pipeline(PipelineTold { asset: told, change }) => {
                                *told == asset && matches!(change, PipelineChange::Committed { .. })
                            }
                            Event::StepFinished(step) => step.asset == asset,
                            _ => false,
                        };
                        if is_of_it {
                            return;
                        }
                    }
                    Some(Heard::Missed(_)) => return,
                    Some(Heard::Change(_)) => {}
                    None => std::future::pending::<()>().await,
                }
            }
        };
        // Another process may have committed; too long a wait is none to be told of.
        let _ = tokio::time::timeout(LOOK, told).await;
    }
}

impl Commit {
    fn new(version: i64, schema: SchemaRef, mut files: Vec<DataFile>, stayed: Stayed) -> Self {
        // The order in which rows are numbered has to be the same whenever somebody asks.
        files.sort_by(|left, right| right.path().cmp(left.path()));
        Self { version, schema, files, rows: None, given: 0, stayed }
    }

    async fn next(&mut self, world: &World, table: &TableName) -> Result<Option<FollowedRows>, EngineError> {
        loop {
            let Some(rows) = &mut self.rows else {
                let Some(file) = self.files.pop() else { return Ok(None) };
                self.rows = Some(read(world, table, &self.schema, file).await?);
                continue;
            };
            match rows.try_next().await.map_err(|source| stored::failed(table, source))? {
                Some(batch) => {
                    let rows = self.stayed.without(table, &batch)?;
                    if rows.num_rows() > 0 {
                        let first = self.given;
                        self.given += rows.num_rows() as u64;
                        return Ok(Some(FollowedRows { version: self.version, first, rows }));
                    }
                }
                None => self.rows = None,
            }
        }
    }
}

impl Stayed {
    async fn of(
        world: &World,
        table: &TableName,
        schema: &SchemaRef,
        removed: Vec<DataFile>,
    ) -> Result<Self, EngineError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())
            .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
        let mut stayed = Self { converter, rows: HashMap::new() };
        for file in removed {
            let mut rows = read(world, table, schema, file).await?;
            while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
                for row in stayed.encoded(table, &batch)? {
                    *stayed.rows.entry(row).or_default() += 1;
                }
            }
        }
        Ok(stayed)
    }

    /// The rows of a batch that were not there before.
    fn without(&mut self, table: &TableName, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        if self.rows.is_empty() {
            return Ok(batch.clone());
        }
        let is_new = |row: Box<[u8]>| match self.rows.get_mut(&row) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        };
        let encoded = encoded(&self.converter, table, batch)?;
        let is_new: BooleanArray = encoded.into_iter().map(is_new).map(Some).collect();
        filter_record_batch(batch, &is_new)
            .map_err(|source| EngineError::Compute { table: table.clone(), source })
    }

    fn encoded(&self, table: &TableName, batch: &RecordBatch) -> Result<Vec<Box<[u8]>>, EngineError> {
        encoded(&self.converter, table, batch)
    }
}

fn encoded(
    converter: &RowConverter,
    table: &TableName,
    batch: &RecordBatch,
) -> Result<Vec<Box<[u8]>>, EngineError> {
    let rows = converter
        .convert_columns(batch.columns())
        .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
    Ok(rows.iter().map(|row| Box::from(row.data())).collect())
}

async fn read(
    world: &World,
    table: &TableName,
    schema: &SchemaRef,
    file: DataFile,
) -> Result<SendableRecordBatchStream, EngineError> {
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let provider = LakeTable::new(&world.lake, schema.clone(), vec![file])?;
    stored::scan(world, table, provider, &columns, None).await
}

/// The rows without the first `skip`; `None` where none is left.
fn passed_over(rows: FollowedRows, skip: &mut u64) -> Option<FollowedRows> {
    let count = rows.rows.num_rows() as u64;
    let gone = skip.saturating_sub(rows.first).min(count);
    let FollowedRows { version, first, rows } = rows;
    let from = usize::try_from(gone).ok()?;
    let left = rows.slice(from, rows.num_rows() - from);
    (left.num_rows() > 0).then_some(FollowedRows { version, first: first + gone, rows: left })
}
