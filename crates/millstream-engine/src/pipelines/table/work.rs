//! The work on a continuous table, from what is durable to the wish that it ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::datatypes::SchemaRef;
use millstream_lake::At;
use millstream_online::EntryStore;
use millstream_plan::Reason;
use millstream_project::StreamSpec;
use millstream_quality::{Contract, ContractOptions};
use millstream_stream::{Pipeline, StreamError};
use millstream_types::AssetVersion;

use super::{
    ContinuousTable,
    buffer::Buffer,
    commit::Epoch,
    flow::{Fed, Feed, Input, Offsets},
    live::{Listed, LiveTable, ToldRows},
    state::{self, DurableState, Reached, Recovered},
    tidy,
};
use crate::{
    EngineError, Event,
    commit_info::PIPELINE_TXN,
    engine::StepContext,
    pipelines::{PipelineChange, PipelineTold, Stint, meter::CommitSeen},
    stored::relations,
};

/// The longest wait for rows before the clock is looked at: a commit may be due, and partitions may be idle.
const LOOK: Duration = Duration::from_millis(200);

/// How often it is looked how far behind the pipeline is.
const LAG_EVERY: Duration = Duration::from_secs(1);

/// A table's pipeline at work.
pub(super) struct Work<'a> {
    table: &'a ContinuousTable,
    stint: &'a Stint,
    context: StepContext,
    stream: StreamSpec,
    pipeline: Pipeline,
    inputs: Vec<Input>,
    schema: SchemaRef,
    feed: Box<dyn Feed>,
    state: DurableState,
    /// The number of the table's last commit by its pipeline.
    epoch: i64,
    /// Up to where rows were taken in.
    taken: Offsets,
    buffer: Buffer,
    /// Lets queries see what was told.
    _listed: Option<Listed>,
    /// Whether rows were taken in that the state on disk does not have.
    is_ahead: bool,
    /// Whether the next commit takes the place of all rows that the table has.
    replaces: bool,
    looked_behind: Option<Instant>,
    /// The commits since small files were put together.
    untidied: u32,
}

impl<'a> Work<'a> {
    /// Begins with what is durable. A table that is not there yet is made, without rows.
    pub(super) async fn begin(table: &'a ContinuousTable, stint: &'a Stint) -> Result<Self, EngineError> {
        let world = &table.world;
        let store = world.pipelines.open().await?;
        let epoch = epoch_of(table).await?;
        match state::recover(&store, &table.spec.name, epoch).await? {
            Some(recovered) => Self::over(table, stint, recovered, false).await,
            None => Self::fresh(table, stint, &store, epoch, false).await,
        }
    }

    /// Begins with the first rows that there still are, whatever the table has.
    pub(super) async fn begin_anew(
        table: &'a ContinuousTable,
        stint: &'a Stint,
    ) -> Result<Self, EngineError> {
        let store = table.world.pipelines.open().await?;
        let epoch = epoch_of(table).await?;
        if epoch > 0 {
            // What was committed and not applied is settled first, so that a slot is free.
            match state::recover(&store, &table.spec.name, epoch).await {
                Ok(_) | Err(EngineError::PipelineState { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Self::fresh(table, stint, &store, epoch, true).await
    }

    async fn fresh(
        table: &'a ContinuousTable,
        stint: &'a Stint,
        store: &EntryStore,
        epoch: i64,
        replaces: bool,
    ) -> Result<Self, EngineError> {
        let state = state::begin(store, &table.spec.name, epoch).await?;
        let reached = Reached::new(epoch, table.flow.begin().await?, &[]);
        let recovered = Recovered { state, reached, entries: Vec::new() };
        let mut work = Self::over(table, stint, recovered, replaces).await?;
        if !replaces {
            // Whoever asks for the table finds it, and the commit says where its rows begin.
            work.commit().await?;
        }
        Ok(work)
    }

    async fn over(
        table: &'a ContinuousTable,
        stint: &'a Stint,
        recovered: Recovered,
        replaces: bool,
    ) -> Result<Self, EngineError> {
        let Recovered { state, reached, entries } = recovered;
        let name = &table.spec.name;
        let opened = table.flow.open().await?;
        let mut pipeline = opened.pipeline;
        if !entries.is_empty() && reached.key != opened.key {
            return Err(stream(table, StreamError::OtherDefinition));
        }
        if !entries.is_empty() {
            // A large state is read in while other tasks go on.
            let restoring =
                tokio::task::spawn_blocking(move || pipeline.restore_entries(entries).map(|()| pipeline));
            let restored =
                restoring.await.map_err(|_| EngineError::Worker { doing: "restoring a pipeline's state" })?;
            pipeline = restored.map_err(|source| stream(table, source))?;
        }
        let stream = table.spec.materialize.stream().cloned();
        let stream = stream.ok_or(EngineError::Worker { doing: "putting a table to work as a pipeline" })?;
        let live = Arc::new(LiveTable {
            table: name.clone(),
            schema: opened.schema.clone(),
            key: opened.key,
            contract: contract(table, &opened.schema).await?,
            told: ToldRows::default(),
        });
        let snapshot = table.world.lake.snapshot(name, At::Latest).await?;
        live.told.committed(snapshot.map(|snapshot| snapshot.version()));
        let feed = table.flow.feed(&reached.offsets).await?;
        Ok(Self {
            table,
            stint,
            context: context(table, stint),
            stream,
            pipeline,
            inputs: opened.inputs,
            // Rows that are computed anew are none that anybody may see before all of them are there.
            _listed: (!replaces).then(|| table.world.live.list(live.clone())),
            buffer: Buffer::new(live),
            schema: opened.schema,
            feed,
            state,
            epoch: reached.epoch,
            taken: reached.offsets,
            is_ahead: false,
            replaces,
            looked_behind: None,
            untidied: 0,
        })
    }

    /// Takes rows in and commits what is told until the work is to end.
    pub(super) async fn go_on(mut self) -> Result<(), EngineError> {
        let stop = self.stint.stop.clone();
        while !stop.is_cancelled() {
            let wait = self.wait();
            let fed = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                fed = self.feed.next() => Some(fed?),
                () = tokio::time::sleep(wait) => None,
            };
            match fed {
                Some(fed) => self.take(fed).await?,
                None => self.look_at_clock().await?,
            }
            if self.is_due() {
                self.commit().await?;
            }
            self.look_behind().await?;
        }
        self.commit().await
    }

    /// Takes rows in until there are none, and commits what is told.
    pub(super) async fn catch_up(mut self) -> Result<(), EngineError> {
        loop {
            let behind = self.feed.behind(&self.taken).await?;
            self.stint.meter.behind(behind.rows, behind.since);
            if behind.rows == 0 || self.stint.stop.is_cancelled() {
                break;
            }
            let fed = self.feed.next().await?;
            self.take(fed).await?;
            // A table that is computed anew is seen as a whole or not at all, as far as its rows fit into memory at once.
            if !self.replaces && self.is_due() || self.buffer.is_full() {
                self.commit().await?;
            }
        }
        self.commit().await?;
        self.state.remove_other(&self.table.asset).await
    }

    /// Takes rows in and what follows from them.
    async fn take(&mut self, fed: Fed) -> Result<(), EngineError> {
        let Fed { input, partition, offsets, known, rows } = fed;
        let place = self.inputs.get(input).ok_or(EngineError::Worker { doing: "feeding a pipeline" })?;
        let at = self.taken.entry(place.name.clone()).or_default();
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        if at.len() <= index && index < usize::from(u16::MAX) {
            at.resize(index + 1, 0);
        }
        let at = at.get_mut(index).ok_or(EngineError::Worker { doing: "counting partitions" })?;
        if offsets.end <= *at {
            return Ok(());
        }
        let (stage, count) = (place.stage, rows.num_rows());
        if offsets.start < *at {
            return Err(EngineError::Worker { doing: "feeding a pipeline rows that it has" });
        }
        *at = offsets.end;
        self.is_ahead = true;
        self.buffer.since.get_or_insert_with(|| self.table.world.options.clock.now());
        self.stint.meter.taken_in(count as u64);
        if count > 0 {
            let pushed = self.pipeline.push(stage, partition, known.0, rows);
            pushed.map_err(|source| stream(self.table, source))?;
            self.drain().await?;
        }
        Ok(())
    }

    /// Nothing came for a while: partitions may be idle.
    async fn look_at_clock(&mut self) -> Result<(), EngineError> {
        let now = self.table.world.options.clock.now();
        self.pipeline.idle(now.0).map_err(|source| stream(self.table, source))?;
        self.drain().await
    }

    /// Takes everything that the pipeline tells.
    async fn drain(&mut self) -> Result<(), EngineError> {
        while let Some(output) = self.pipeline.next_output().map_err(|source| stream(self.table, source))? {
            if let Some(watermark) = self.buffer.take(output)? {
                self.stint.meter.watermark(watermark);
                self.is_ahead = true;
            } else {
                self.buffer.since.get_or_insert_with(|| self.table.world.options.clock.now());
            }
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    fn wait(&self) -> Duration {
        let Some(since) = self.buffer.since else { return LOOK };
        let due = since.0.saturating_add(micros(self.stream.commit_every.as_std()));
        let left = due.saturating_sub(self.table.world.options.clock.now().0);
        Duration::from_micros(u64::try_from(left).unwrap_or(0)).min(LOOK)
    }

    fn is_due(&self) -> bool {
        let Some(since) = self.buffer.since else { return false };
        let waited = self.table.world.options.clock.now().0.saturating_sub(since.0);
        waited >= micros(self.stream.commit_every.as_std())
            || self.buffer.rows() >= self.stream.commit_rows.get()
            || self.buffer.is_full()
    }

    /// Commits what was told, together with the state and the offsets up to which rows were taken in.
    async fn commit(&mut self) -> Result<(), EngineError> {
        let is_first = self.epoch == 0;
        if self.buffer.is_empty() && !is_first && !self.replaces {
            return self.keep_state().await;
        }
        let (began, number) = (Instant::now(), self.epoch + 1);
        let reached = Reached::new(number, self.taken.clone(), self.buffer.key());
        let changes = self.pipeline.changes().map_err(|source| stream(self.table, source))?;
        self.state.prepare(reached, changes).await?;
        let epoch = Epoch {
            context: &self.context,
            table: &self.table.spec.name,
            spec: &self.table.spec,
            schema: &self.schema,
            number,
            offsets: &self.taken,
            replaces: self.replaces,
            now: self.table.world.options.clock.now(),
        };
        let done = epoch.commit(self.buffer.net()?, &self.buffer.refused).await?;
        self.state.apply().await?;
        self.feed.committed(&self.taken).await?;
        self.epoch = number;
        self.replaces = false;
        self.is_ahead = false;
        self.buffer.clear(done.version.number());
        self.tell(
            CommitSeen {
                version: Some(done.version),
                rows: done.rows_written,
                rows_rejected: done.rows_rejected,
                rows_late: done.rows_late,
                took: began.elapsed(),
            },
            done.version,
        );
        self.untidied += 1;
        if self.untidied >= tidy::COMMITS {
            self.untidied = 0;
            tidy::tidy(&self.table.world, &self.table.spec.name).await;
        }
        self.look_at_state().await
    }

    /// Keeps the state where nothing came of the rows that were taken in.
    async fn keep_state(&mut self) -> Result<(), EngineError> {
        self.buffer.since = None;
        if !std::mem::take(&mut self.is_ahead) {
            return Ok(());
        }
        let changes = self.pipeline.changes().map_err(|source| stream(self.table, source))?;
        self.state.advance(&Reached::new(self.epoch, self.taken.clone(), self.buffer.key()), changes).await?;
        self.feed.committed(&self.taken).await?;
        self.look_at_state().await
    }

    fn tell(&self, seen: CommitSeen, version: AssetVersion) {
        self.stint.meter.committed(&seen);
        let CommitSeen { rows, rows_rejected, rows_late, .. } = seen;
        let change = PipelineChange::Committed { version: Some(version), rows, rows_rejected, rows_late };
        let asset = self.table.asset.clone();
        self.stint.events.publish(Event::Pipeline(PipelineTold { asset, change }));
    }

    async fn look_at_state(&mut self) -> Result<(), EngineError> {
        let bytes = self.pipeline.figures().state_bytes() as u64;
        self.stint.meter.state_is(bytes, self.state.approximate_len().await?);
        Ok(())
    }

    async fn look_behind(&mut self) -> Result<(), EngineError> {
        if self.looked_behind.is_some_and(|at| at.elapsed() < LAG_EVERY) {
            return Ok(());
        }
        self.looked_behind = Some(Instant::now());
        let behind = self.feed.behind(&self.taken).await?;
        self.stint.meter.behind(behind.rows, behind.since);
        self.table.flow.refresh().await
    }
}

/// The number of the table's last commit by a pipeline; 0 without one.
async fn epoch_of(table: &ContinuousTable) -> Result<i64, EngineError> {
    let snapshot = table.world.lake.snapshot(&table.spec.name, At::Latest).await?;
    Ok(snapshot.and_then(|snapshot| snapshot.txn(PIPELINE_TXN)).unwrap_or(0))
}

/// What keeps rows out of the table, for those who see rows before they are committed.
async fn contract(table: &ContinuousTable, schema: &SchemaRef) -> Result<Option<Contract>, EngineError> {
    let (world, spec) = (&table.world, &table.spec);
    if spec.checks.is_empty() {
        return Ok(None);
    }
    let relations = relations(world, &spec.checks).await?;
    let options = ContractOptions {
        checks: &spec.checks,
        type_severity: spec.on_violation,
        relations: &relations,
        extra: &[],
        now: world.options.clock.now(),
    };
    Contract::compile_table(schema, world.project.personal.of_table(&spec.name), &options)
        .map(Some)
        .map_err(|source| EngineError::Quality { table: spec.name.clone(), source })
}

fn context(table: &ContinuousTable, stint: &Stint) -> StepContext {
    StepContext {
        world: table.world.clone(),
        run: table.world.new_run(),
        lease: stint.lease.clone(),
        asset: table.asset.clone(),
        reason: Reason::Forced,
        full_refresh: false,
        forget_gone: false,
        forced: false,
        events: stint.events.clone(),
        cancel: stint.lease.cancel.clone(),
    }
}

fn stream(table: &ContinuousTable, source: StreamError) -> EngineError {
    EngineError::Pipeline { table: table.spec.name.clone(), source }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
