//! A dataset from label rows and events, phase by phase.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use millstream_spool::Space;

use super::{
    assemble::{Assembler, OnDemand},
    context::Context,
    examine::Leaks,
    join::{Answers, join_view},
    labels::{Labels, take_in},
    layout::{ColumnSource, Layout},
    leakage::{Example, Finding, Leak},
    manifest::{DatasetColumn, Definition, MANIFEST_VERSION, Manifest, Role},
    output::{OutputColumn, write_rows},
    plan::{DatasetPlan, SplitBy},
    progress::Progress,
    split::{Side, SideRows, Splitter},
    warning::Warning,
};
use crate::{Cause, DatasetError};

/// Rows from wherever the caller reads them.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<RecordBatch, Cause>> + 'a>;

/// Gives the rows of events of the view with this number.
pub type Events<'a, 'rows> = dyn FnMut(usize) -> Result<Rows<'rows>, Cause> + 'a;

/// A dataset that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The data file.
    pub path: PathBuf,
    pub manifest: Manifest,
    pub manifest_path: PathBuf,
    /// The warnings of the manifest, and those that hold today only.
    pub warnings: Vec<Warning>,
    /// The number of bytes that were spilled, because they did not fit into memory.
    pub spilled_bytes: u64,
}

/// Builds the dataset and writes its data file and manifest, both or none. `events` is called once for each view that
/// is needed, in order. The rows may come in any order and in any batches: neither they, nor memory or threads, change a
/// byte of what is written, except that the output's rows are in the order of the label rows.
///
/// # Errors
///
/// The plan makes no sense, rows cannot be read or are of another shape, an entity does not fit into memory, the spill folder
/// or the output cannot be written, or a promise is broken. Then nothing is written and nothing is left behind.
pub fn build(
    plan: &DatasetPlan,
    labels: Rows<'_>,
    events: &mut Events<'_, '_>,
    on_demand: &mut OnDemand<'_>,
    report: &dyn Fn(Progress<'_>),
) -> Result<Built, DatasetError> {
    let layout = Layout::new(plan)?;
    // A quarter of the memory is for rows between phases, a half for the join, the rest for batches on their way.
    let space = Space::compressed(&plan.resources.spill, plan.resources.memory_bytes / 4);
    space.prepare()?;
    let is_by_time = plan.split.as_ref().is_some_and(|split| matches!(split.by, SplitBy::Time { .. }));
    let mut labels = take_in(plan, labels, is_by_time, &space, report)?;
    let context = Context { plan, layout: &layout, space: &space, report };
    let answers = join_views(&context, &labels, events)?;

    let definition = Definition::new(plan);
    let version = definition.version()?;
    let times = std::mem::take(&mut labels.times);
    let splitter = plan.split.as_ref().map(|split| Splitter::new(split, plan.labels.time, times));
    let mut assembler = Assembler::new(plan, &layout, &labels, &answers, splitter)?;
    let mut leaks = Leaks::new(plan, &layout);
    let output = write_rows(&context, &version, &mut assembler, &mut leaks, on_demand)?;
    let (total, written) = (assembler.total(), output.written.data.rows);
    if written != total {
        return Err(DatasetError::broken(format!("{total} label rows, {written} rows written")));
    }
    let sides = plan.split.as_ref().map(|_| assembler.sides);
    let mut leakage = same_instant(&output.columns, &answers);
    leakage.extend(leaks.finish());
    let mut warnings = warnings(plan, &labels, &answers, &output.columns, sides.as_ref());
    let manifest = Manifest {
        format: MANIFEST_VERSION,
        version,
        definition,
        data: output.written.data.clone(),
        identity: layout.identity(plan),
        sides,
        columns: describe(plan, output.columns),
        fitted: output.fitted,
        leakage,
        warnings: warnings.clone(),
    };
    let path = output.written.path.clone();
    let manifest_path = output.written.publish(&manifest)?;
    if labels.in_future > 0 {
        warnings.push(Warning::InFuture { rows: labels.in_future });
    }
    Ok(Built { path, manifest, manifest_path, warnings, spilled_bytes: space.spilled_bytes() })
}

/// The answers of each view; `None` for a view of which no feature is needed.
fn join_views(
    context: &Context<'_>,
    labels: &Labels,
    events: &mut Events<'_, '_>,
) -> Result<Vec<Option<Answers>>, DatasetError> {
    let Context { plan, layout, .. } = *context;
    let mut answers = Vec::with_capacity(layout.features.len());
    for (number, (view, features)) in plan.service.views.iter().zip(&layout.features).enumerate() {
        if features.is_empty() {
            answers.push(None);
            continue;
        }
        let what = || format!("the view `{}`", view.name);
        let events = events(number).map_err(|source| DatasetError::Input { what: what(), source })?;
        answers.push(Some(join_view(context, number, features, labels, events)?));
    }
    Ok(answers)
}

fn describe(plan: &DatasetPlan, columns: Vec<OutputColumn>) -> Vec<DatasetColumn> {
    let role = |source: ColumnSource| match source {
        ColumnSource::Label(number) if plan.labels.targets.contains(&number) => Role::Target,
        ColumnSource::Label(_) => Role::Label,
        ColumnSource::Feature { view, .. } => Role::Feature {
            view: plan.service.views.get(view).map_or_else(String::new, |view| view.name.clone()),
        },
        ColumnSource::OnDemand(_) => Role::OnDemand,
        ColumnSource::Split => Role::Split,
    };
    let column = |column: OutputColumn| {
        let OutputColumn { name, data_type, source, statistics } = column;
        DatasetColumn { name, data_type, role: role(source), statistics }
    };
    columns.into_iter().map(column).collect()
}

/// The features of views whose labels saw events of their own instant.
fn same_instant(columns: &[OutputColumn], answers: &[Option<Answers>]) -> Vec<Finding> {
    let finding = |column: &OutputColumn| {
        let ColumnSource::Feature { view, .. } = column.source else { return None };
        let answers = answers.get(view)?.as_ref().filter(|answers| answers.same_instant > 0)?;
        let example = answers.same_instant_example.map(|row| Example { row, value: None, target: None });
        let (name, count) = (column.name.clone(), answers.same_instant);
        Some(Finding { name, leak: Leak::SameInstant, count, example })
    };
    columns.iter().filter_map(finding).collect()
}

fn warnings(
    plan: &DatasetPlan,
    labels: &Labels,
    answers: &[Option<Answers>],
    columns: &[OutputColumn],
    sides: Option<&SideRows>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let rows = labels.rows.rows() as u64;
    if rows == 0 {
        warnings.push(Warning::NoLabels);
        return warnings;
    }
    if labels.without_time > 0 {
        warnings.push(Warning::WithoutTime { rows: labels.without_time });
    }
    for ((view, answers), without_key) in plan.service.views.iter().zip(answers).zip(&labels.without_key) {
        if *without_key > 0 {
            warnings.push(Warning::WithoutKey { view: view.name.clone(), rows: *without_key });
        }
        if answers.as_ref().is_some_and(|answers| answers.events == 0) {
            warnings.push(Warning::EmptyView { view: view.name.clone() });
        }
    }
    let is_null =
        |column: &&OutputColumn| column.statistics.nulls == rows && column.source != ColumnSource::Split;
    let null = columns.iter().filter(is_null);
    warnings.extend(null.map(|column| Warning::AllNull { column: column.name.clone() }));
    if let (Some(sides), Some(split)) = (sides, &plan.split) {
        let sides = [
            (Side::Train, sides.train, split.shares.train),
            (Side::Validation, sides.validation, split.shares.validation),
            (Side::Test, sides.test, split.shares.test),
        ];
        let empty = sides.into_iter().filter(|(_, rows, share)| *rows == 0 && *share > 0.0);
        warnings.extend(empty.map(|(side, ..)| Warning::EmptySide { side }));
    }
    warnings
}
