//! SQL tables and views: their facts, and the steps that build the stored tables.

mod build;
mod delta;
mod inputs;
pub(crate) mod partitions;
mod states;
mod widened;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use millstream_plan::{AssetFacts, AssetKind, Observed, PlannedStep, Reason, table_fingerprint};
use millstream_project::{CheckKind, CheckSpec, Materialize, NeedSpec, ProjectSpec, ScheduleSpec, TableSpec};
use millstream_schedule::Trigger;
use millstream_sql::{Analysis, TableAnalysis};
use millstream_types::{AssetId, CheckId, Fingerprint, TableName};

use super::{Defined, Kind, Look, StepRunner, table_of, unknown, unreadable_table};
use crate::{
    EngineError,
    engine::{StepContext, World},
    pipelines,
    run::StepResult,
};

pub(crate) use build::upkeep;
pub(crate) use inputs::is_gone;

const VIEW: AssetKind = AssetKind::new("view");
const TABLE: AssetKind = AssetKind::new("table");
const INCREMENTAL: AssetKind = AssetKind::new("incremental");
const HISTORY: AssetKind = AssetKind::new("history");
const STREAM: AssetKind = AssetKind::new("stream");

/// The family of tables and views that SQL defines.
pub(super) struct Tables;

#[async_trait]
impl Kind for Tables {
    fn words(&self) -> &'static [AssetKind] {
        &[VIEW, TABLE, INCREMENTAL, HISTORY, STREAM]
    }

    fn facts(&self, defined: &Defined<'_>) -> Vec<AssetFacts> {
        let specs: BTreeMap<&TableName, &TableSpec> =
            defined.spec.tables.iter().map(|spec| (&spec.name, spec)).collect();
        let mut fingerprints: BTreeMap<&TableName, Fingerprint> = BTreeMap::new();
        let mut tables = Vec::with_capacity(specs.len());
        for (name, table) in &defined.analysis.tables {
            let Some(spec) = specs.get(name) else { continue };
            let views = view_fingerprints(table, &specs, &fingerprints);
            let own = table_fingerprint(spec, &table.fingerprint, &views);
            fingerprints.insert(name, own);
            tables.push(AssetFacts {
                id: name.asset_id(),
                kind: kind(&spec.materialize),
                path: defined.path(spec.sql.at.file),
                tags: spec.tags.clone(),
                fingerprint: own,
                inputs: table.dependencies.iter().map(TableName::asset_id).collect(),
                defined_by: Vec::new(),
                checked_against: checked_against(&spec.checks),
                needs: needs(defined, spec),
                passes_through: spec.materialize.is_view(),
                reads_outside: false,
                follows_events: spec.materialize.stream().is_some(),
                schedule: ScheduleSpec::beside(Trigger::OnChange, spec.schedule.as_ref()),
            });
        }
        tables
    }

    /// Looks for partitions that are still to be built. The versions of tables are read from the lake for all families together.
    async fn look(&self, look: &Look<'_>, observed: &mut Observed) -> Result<(), EngineError> {
        let project = &look.world.project;
        for facts in &look.assets {
            let table = table_of(&facts.id).ok();
            if let Some(table) = table.as_ref().filter(|_| facts.follows_events) {
                let waits = pipelines::table::waits(look.world, table).await?;
                observed.parts.extend(waits.map(|waits| (facts.id.clone(), vec![waits])));
                continue;
            }
            let spec = table.as_ref().and_then(|table| project.table(table));
            let Some(spec) = spec.filter(|spec| spec.partition.is_some()) else { continue };
            let open = partitions::open_of(look.world, spec).await?;
            if open.count > 0 {
                observed.partitions_open.insert(facts.id.clone(), open.count);
            }
            if open.has_kept_out {
                observed.kept_out.insert(facts.id.clone());
            }
        }
        Ok(())
    }

    async fn attempt(&self, runner: &StepRunner, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let table = table_of(&step.asset)?;
        let project = &runner.world.project;
        let spec = project.table(&table).ok_or_else(|| unknown(&step.asset))?;
        if spec.materialize.stream().is_some() {
            let flow = pipelines::table::flow_of(&runner.world, &table)?;
            return pipelines::table::attempt(runner, step, spec, flow).await;
        }
        let context = StepContext { full_refresh: computes_anew(runner, spec), ..runner.context(step) };
        let built = match &spec.partition {
            Some(partition) => partitions::build(&context, spec, partition).await,
            None => build::build(&context, spec, must_build(runner, &step.reason)).await,
        };
        built.map_err(|error| project.told_of(&table, error))
    }

    async fn abandon(&self, world: &World, asset: &AssetId) {
        abandon(world, asset).await;
    }

    async fn unreadable(&self, world: &World, asset: &AssetId) -> Option<EngineError> {
        unreadable_table(world, asset).await
    }
}

/// Deletes the staged files of a table, and of its rejected rows, that no commit has taken.
pub(super) async fn abandon(world: &World, asset: &AssetId) {
    if let Ok(table) = table_of(asset) {
        world.lake.abandon(&table.rejected()).await;
        world.lake.abandon(&table).await;
    }
}

/// The tables into which checks look.
pub(super) fn checked_against(checks: &[CheckSpec]) -> Vec<AssetId> {
    let tables = checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Relationship { to_table, .. } => Some(to_table.asset_id()),
        _ => None,
    });
    tables.collect()
}

/// The checks of what a table reads that alone keep it from being built.
fn needs(defined: &Defined<'_>, spec: &TableSpec) -> BTreeMap<AssetId, BTreeSet<CheckId>> {
    let of_tables = defined.spec.tables.iter().map(|table| (table.name.clone(), &table.checks));
    let of_sources = defined.spec.sources.iter().map(|source| (source.table(), &source.contract.checks));
    let checks: BTreeMap<TableName, &Vec<CheckSpec>> = of_tables.chain(of_sources).collect();
    let named = |need: &NeedSpec| {
        let of_table = checks.get(&need.table.value).map(|checks| checks.as_slice()).unwrap_or_default();
        let named = of_table.iter().filter(|check| need.names(check)).map(|check| check.id.clone());
        (need.table.value.asset_id(), named.collect())
    };
    spec.needs.iter().map(named).collect()
}

fn view_fingerprints(
    table: &TableAnalysis,
    specs: &BTreeMap<&TableName, &TableSpec>,
    fingerprints: &BTreeMap<&TableName, Fingerprint>,
) -> Vec<Fingerprint> {
    let is_view = |name: &&TableName| specs.get(name).is_some_and(|spec| spec.materialize.is_view());
    table.dependencies.iter().filter(is_view).filter_map(|name| fingerprints.get(name).copied()).collect()
}

/// What the SQL views among `tables` compute, and the views that those read: each once, sorted.
pub(super) fn view_plans(analysis: &Analysis, spec: &ProjectSpec, tables: &[TableName]) -> Vec<String> {
    let is_view =
        |name: &TableName| spec.tables.iter().any(|spec| spec.name == *name && spec.materialize.is_view());
    let (mut open, mut plans) = (tables.to_vec(), BTreeMap::new());
    while let Some(name) = open.pop() {
        if let Some(table) = analysis.tables.get(&name)
            && is_view(&name)
            && plans.insert(name, table.fingerprint.to_string()).is_none()
        {
            open.extend(table.dependencies.iter().cloned());
        }
    }
    plans.into_values().collect()
}

fn kind(materialize: &Materialize) -> AssetKind {
    match materialize {
        Materialize::View => VIEW,
        Materialize::Table => TABLE,
        Materialize::Incremental(_) => INCREMENTAL,
        Materialize::History { .. } => HISTORY,
        Materialize::Stream(_) => STREAM,
    }
}

/// Whether a full refresh computes all rows of the table again. Past states of a history cannot be computed again, so a
/// history is left alone unless it is named itself.
fn computes_anew(runner: &StepRunner, spec: &TableSpec) -> bool {
    let is_kept =
        spec.materialize.keeps_states() && !runner.named.iter().any(|name| *name == spec.name.to_string());
    runner.full_refresh && !is_kept
}

/// Whether the step must do its work even if its inputs turn out unchanged.
fn must_build(runner: &StepRunner, reason: &Reason) -> bool {
    runner.forced || runner.full_refresh || !matches!(reason, Reason::NewInput { .. } | Reason::Stale)
}
