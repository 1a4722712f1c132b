//! Which partitions are to be built: those that the inputs' changes reach, those that were never built, or all of them.

use std::collections::BTreeSet;

use arrow::{compute::cast, datatypes::SchemaRef};
use futures::TryStreamExt;
use millstream_lake::{At, Snapshot};
use millstream_plan::{PartitionSet, PartitionStanding, PartitionStates, PartitionStatus};
use millstream_quality::restore_apart;
use millstream_sql::incremental::{Inputs, Limits, Reached};

use super::{grid::Grid, table::PartitionedTable};
use crate::{
    EngineError, assets::table::build::BuildAttempt, resolver::provider, stored, superseded::types_of,
};

/// The most partitions that a table is searched for.
const FOUND_MAX: usize = 1_000_000;

/// What a survey found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survey {
    /// The partitions that are not built are the ones to build.
    Some,
    /// Every row is to be computed, and which partitions there are is seen from the rows.
    Whole,
}

impl PartitionedTable<'_> {
    /// Finds out what is to be built, and records it. `anew` asks for all partitions. With `may_be_whole`, a table of which all is
    /// to be built is not searched for its partitions: nothing is recorded then, since only its rows tell them.
    pub(super) async fn survey(&mut self, anew: bool, may_be_whole: bool) -> Result<Survey, EngineError> {
        let fingerprint = self.context.facts()?.fingerprint;
        let (base, spec) = (self.snapshot().await?, self.spec.clone());
        let redefined = self.states.fingerprint != fingerprint;
        self.told_open = false;
        if redefined {
            // Under another definition a number may be another partition, so that nothing of what is known holds.
            let mut states = PartitionStates::new(fingerprint);
            states.version = self.states.version;
            (states.built, states.micros) = (self.states.built, self.states.micros);
            self.states = states;
            self.grid.live(&PartitionSet::new());
        }
        let mut grid = self.grid.clone();
        let (found, everything, schema) = {
            let attempt = self.attempt(&spec, base.as_deref()).await?;
            let everything = anew || self.is_unknown || redefined || attempt.reshapes() || attempt.has_lost();
            let found = match everything {
                true => None,
                false => self.reached(&attempt, &mut grid).await?,
            };
            let found = match found {
                None if !self.is_whole(may_be_whole) => Some(self.search(&attempt, &mut grid).await?),
                found => found,
            };
            (found, everything, attempt.schema.clone())
        };
        self.grid = grid;
        if everything {
            self.states.outdate(&self.states.known());
        }
        let Some(found) = found else { return Ok(Survey::Whole) };
        let mut found = self.grid.possible(&found);
        if let Some(base) = base.as_deref().filter(|_| everything) {
            // Rows that the query no longer gives have to leave, also those that could not come any more.
            let stored = self.stored(base).await?.union(&self.rejected(&schema).await?);
            let unknown = stored.difference(&self.states.known());
            self.states.set(&unknown, &PartitionStanding::of(PartitionStatus::Stale));
            found = found.union(&stored);
        }
        self.states.outdate(&found);
        self.states.seen = self.inputs.versions();
        self.states.version = base.as_deref().map(crate::assets::version_of).or(self.states.version);
        self.is_unknown = false;
        self.keep_values().await?;
        // What checks found in partitions of another definition says nothing of these.
        let forgotten = if redefined { PartitionSet::range(i64::MIN, i64::MAX) } else { PartitionSet::new() };
        self.record(None, &forgotten, &[], None).await?;
        Ok(Survey::Some)
    }

    /// Whether all rows may be computed at once: partitions that were built with other parameters have to be computed apart.
    fn is_whole(&self, may_be_whole: bool) -> bool {
        may_be_whole && self.states.spans().iter().all(|span| span.standing.parameters.is_empty())
    }

    /// The partitions that the changes of the inputs reach; `None` where no bound can be shown.
    async fn reached(
        &self,
        attempt: &BuildAttempt<'_>,
        grid: &mut Grid,
    ) -> Result<Option<PartitionSet>, EngineError> {
        if self.states.seen == self.inputs.versions() {
            return Ok(Some(PartitionSet::new()));
        }
        let changes = self.inputs.changes(&self.context.world, &self.states.seen).await?;
        let Some(changes) = changes else {
            self.context.note("all partitions are looked at: the past of an input can no longer be read");
            return Ok(None);
        };
        let Some(mut found) = self.reached_by(attempt, &changes.inputs, grid).await? else { return Ok(None) };
        // A row that the query leaves out with the default values may be one with the values of a backfill.
        for parameters in self.parameters() {
            let with = |standing: &PartitionStanding| standing.parameters == parameters;
            let (spec, own) = (self.spec_with(&parameters)?, self.states.which(with));
            let attempt = self.attempt(&spec, attempt.base).await?;
            let Some(reached) = self.reached_by(&attempt, &changes.inputs, grid).await? else {
                return Ok(None);
            };
            found = found.union(&reached.intersection(&own));
        }
        Ok(Some(found))
    }

    /// The partitions that changes reach in the query of one attempt; `None` where no bound can be shown.
    async fn reached_by(
        &self,
        attempt: &BuildAttempt<'_>,
        changes: &Inputs,
        grid: &mut Grid,
    ) -> Result<Option<PartitionSet>, EngineError> {
        let limits = Limits { keys: FOUND_MAX, ..Limits::default() };
        let reached =
            attempt.maintenance.reached(attempt.runtime.as_ref(), changes, &grid.key(), limits).await;
        match reached.map_err(|source| attempt.failed(source))? {
            Reached::Nothing => Ok(Some(PartitionSet::new())),
            Reached::Keys(keys) => Ok(Some(grid.numbers(&keys)?.into_iter().collect())),
            Reached::All { why } => {
                self.context.note(format!("all partitions are built: {why}"));
                Ok(None)
            }
        }
    }

    /// The parameters that backfills have set for partitions, each once.
    fn parameters(&self) -> BTreeSet<String> {
        let set = self.states.spans().iter().map(|span| span.standing.parameters.clone());
        set.filter(|parameters| !parameters.is_empty()).collect()
    }

    /// The partitions that rows of the stored table lie in.
    async fn stored(&mut self, base: &Snapshot) -> Result<PartitionSet, EngineError> {
        let (world, table, key) = (&self.context.world, &self.spec.name, self.grid.key());
        let Ok(field) = self.grid.field_of(&base.schema()) else { return Ok(PartitionSet::new()) };
        let rows = provider(&world.lake, base)?;
        let mut rows = stored::scan(world, table, rows, std::slice::from_ref(&key.column), None).await?;
        let mut found = PartitionSet::new();
        while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
            self.context.check_cancelled()?;
            let values = cast(batch.column(0), &field)
                .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
            let keys = key.keys(&values).map_err(|source| stored::failed(table, source))?;
            let mut numbers = self.grid.numbers(&keys)?;
            numbers.sort_unstable();
            numbers.dedup();
            found = found.union(&numbers.into_iter().collect());
        }
        Ok(found)
    }

    /// The partitions that rejected rows lie in, by the column as `schema` has it: these rows too are judged again, or are none any
    /// more.
    async fn rejected(&mut self, schema: &SchemaRef) -> Result<PartitionSet, EngineError> {
        let (world, table, key) = (&self.context.world, &self.spec.name, self.grid.key());
        let mut found = PartitionSet::new();
        let Some(rejected) = world.lake.snapshot(&table.rejected(), At::Latest).await? else {
            return Ok(found);
        };
        let types = types_of(table, schema)?;
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let columns: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
        let rows = provider(&world.lake, &rejected)?;
        let mut rows = stored::scan(world, rejected.table(), rows, &columns, None).await?;
        while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
            self.context.check_cancelled()?;
            for restored in restore_apart(&batch).map_err(quality)? {
                let typed = types.evaluate(&restored.rows).map_err(quality)?.rows;
                let Some(values) = typed.column_by_name(&key.column) else { continue };
                let keys = key.keys(values).map_err(|source| stored::failed(table, source))?;
                found = found.union(&self.grid.numbers(&keys)?.into_iter().collect());
            }
        }
        Ok(found)
    }

    /// All partitions that the query has rows for, and those that are known.
    async fn search(&self, attempt: &BuildAttempt<'_>, grid: &mut Grid) -> Result<PartitionSet, EngineError> {
        let inputs = self.inputs.whole(&self.context.world)?;
        let (condition, limits) = (grid.all(), Limits { keys: FOUND_MAX, ..Limits::default() });
        let runtime = attempt.runtime.as_ref();
        let keys =
            attempt.maintenance.partitions(runtime, &inputs, &grid.key(), condition.as_ref(), limits).await;
        let Some(keys) = keys.map_err(|source| attempt.failed(source))? else {
            return Err(self.too_many(FOUND_MAX as u64));
        };
        let found: PartitionSet = grid.numbers(&keys)?.into_iter().collect();
        let is_built = |status: &PartitionStatus| *status != PartitionStatus::Missing;
        Ok(found.union(&self.states.which(|standing| is_built(&standing.status))))
    }

    /// The most partitions that are built in one go.
    pub(super) fn partitions_max(&self) -> u64 {
        self.context.world.options.partitions_max
    }

    pub(super) fn too_many(&self, most: u64) -> EngineError {
        EngineError::Partitions {
            table: self.spec.name.clone(),
            message: format!("has more than {most} partitions to build"),
            hint: "part it by a longer time, or let a backfill name a shorter range".to_owned(),
        }
    }
}
