//! A table with partitions at work: its inputs, its partitions, and where they stand.

use std::{collections::BTreeMap, sync::Arc};

use millstream_lake::{At, Snapshot};
use millstream_plan::{PartitionSet, PartitionStates};
use millstream_project::{ParameterSpec, PartitionSpec, TableSpec};
use millstream_state::{BrokenCheck, PartitionRecord};
use millstream_types::TimestampMicros;

use super::{grid::Grid, recovery};
use crate::{
    EngineError,
    assets::table::{build::BuildAttempt, inputs::Inputs},
    engine::StepContext,
    publish,
};

/// A table with partitions at work.
pub(super) struct PartitionedTable<'a> {
    pub context: &'a StepContext,
    pub spec: &'a TableSpec,
    pub inputs: Inputs,
    pub grid: Grid,
    /// Where the partitions stand; of a table that nothing is known of, an empty record without a version.
    pub states: PartitionStates,
    /// Whether nothing is known of the partitions, so that all are to be built.
    pub is_unknown: bool,
    /// What backfills built with commits that were not recorded, by backfill.
    pub filled: BTreeMap<String, PartitionSet>,
    /// The partitions that this step is still going to build, whose rows leave in any case.
    pub pending: PartitionSet,
    /// Whether a commit of this step has told which partitions are open, so that the next ones need not.
    pub told_open: bool,
    pub now: TimestampMicros,
}

impl<'a> PartitionedTable<'a> {
    /// Pins the inputs, and takes over what earlier commits tell.
    pub(super) async fn open(
        context: &'a StepContext,
        spec: &'a TableSpec,
        partition: &PartitionSpec,
    ) -> Result<Self, EngineError> {
        let world = &context.world;
        let inputs = Inputs::pin(world, &context.asset).await?;
        let base = world.lake.snapshot(&spec.name, At::Latest).await?;
        if let Some(base) = &base {
            publish::finish_outdated(context, base).await?;
        }
        let values = world.state.partition_values(&context.asset).await?;
        let analysed = world.project.analysis.tables.get(&spec.name);
        let analysed = analysed.ok_or_else(|| world.project.unknown_table(&spec.name))?;
        let mut grid = Grid::new(spec, partition, &analysed.stored_schema, values)?;
        let recorded = world.state.partitions(&context.asset).await?;
        let (states, filled) = match &base {
            Some(base) => {
                let caught_up = recovery::caught_up(world, &mut grid, base, recorded).await?;
                (caught_up.states, caught_up.filled)
            }
            None => (None, BTreeMap::new()),
        };
        let fingerprint = context.facts()?.fingerprint;
        grid.live(&states.as_ref().map(PartitionStates::known).unwrap_or_default());
        Ok(Self {
            context,
            spec,
            inputs,
            grid,
            filled,
            pending: PartitionSet::new(),
            told_open: false,
            is_unknown: states.is_none(),
            states: states.unwrap_or_else(|| PartitionStates::new(fingerprint)),
            now: world.options.clock.now(),
        })
    }

    pub(super) async fn snapshot(&self) -> Result<Option<Arc<Snapshot>>, EngineError> {
        Ok(self.context.world.lake.snapshot(&self.spec.name, At::Latest).await?)
    }

    /// The table's definition with the values of a backfill's parameters, which are JSON by name.
    pub(super) fn spec_with(&self, parameters: &str) -> Result<TableSpec, EngineError> {
        let mut spec = self.spec.clone();
        if parameters.is_empty() {
            return Ok(spec);
        }
        let values: BTreeMap<String, String> = serde_json::from_str(parameters)
            .map_err(|source| EngineError::Definition { name: self.spec.name.to_string(), source })?;
        for (name, value) in values {
            let named = |parameter: &&mut ParameterSpec| parameter.name.value == name;
            let Some(parameter) = spec.parameters.iter_mut().find(named) else {
                return Err(EngineError::Partitions {
                    table: self.spec.name.clone(),
                    message: format!(
                        "has partitions that were built with `{name}`, which it no longer declares"
                    ),
                    hint: "declare it in the header once more, or build them again without it".to_owned(),
                });
            };
            parameter.default = value;
        }
        Ok(spec)
    }

    pub(super) async fn attempt<'b>(
        &'b self,
        spec: &'b TableSpec,
        base: Option<&'b Snapshot>,
    ) -> Result<BuildAttempt<'b>, EngineError> {
        BuildAttempt::open(self.context, spec, base, &self.inputs, self.now).await
    }

    /// Gives the numbers of new values to the state store, before a commit names them.
    pub(super) async fn keep_values(&mut self) -> Result<(), EngineError> {
        let new = self.grid.take_new();
        if !new.is_empty() {
            let context = self.context;
            context.world.state.name_partitions(&context.run, &context.asset, &new).await?;
        }
        Ok(())
    }

    /// Records where the partitions stand. Others than those from the first to the last that were `touched` stand as on record.
    pub(super) async fn record(
        &self,
        touched: Option<(i64, i64)>,
        judged: &PartitionSet,
        broken: &[BrokenCheck],
        backfill: Option<(&str, &PartitionSet, &PartitionSet)>,
    ) -> Result<(), EngineError> {
        let context = self.context;
        let record = PartitionRecord {
            run: &context.run,
            asset: &context.asset,
            states: &self.states,
            touched,
            judged,
            broken,
            backfill,
        };
        Ok(context.world.state.record_partitions(&record).await?)
    }
}
