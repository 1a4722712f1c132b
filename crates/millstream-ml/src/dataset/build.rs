//! A dataset from label rows and events, phase by phase.

use std::path::PathBuf;

use arrow::array::RecordBatch;

use super::{
    assemble::{Assembler, OnDemand},
    examine::{Figures, Leaks},
    join::{Answers, join_view},
    labels::{Labels, take_in},
    layout::{Layout, Source},
    leakage::{Example, Finding, Leak},
    manifest::{DatasetColumn, Definition, MANIFEST_VERSION, Manifest, Role},
    plan::{DatasetPlan, SplitBy},
    progress::{Counter, Phase, Progress},
    split::{Side, SideRows, Splitter},
    spool::Space,
    statistics::ColumnStatistics,
    warning::Warning,
    write::DataWriter,
};
use crate::{Cause, DatasetError};

/// Rows from wherever the caller reads them.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<RecordBatch, Cause>> + 'a>;

/// A dataset that was built.
#[derive(Clone, Debug)]
pub struct Built {
    pub manifest: Manifest,
    pub manifest_path: PathBuf,
    /// Those of the manifest, and those that hold today only.
    pub warnings: Vec<Warning>,
    /// Bytes that did not fit into memory.
    pub spilled_bytes: u64,
}

/// Builds the dataset and writes its data file and manifest, both or none. `events` gives the rows of events of the view
/// with that number and is called once for each view that is needed, in order. The rows may come in any order and
/// in any batches: neither they, nor memory or threads, change a byte of what is written.
///
/// # Errors
///
/// The plan makes no sense, rows cannot be read or are of another shape, an entity does not fit into memory, the spill folder
/// or the output cannot be written, or a promise is broken. Then nothing is written and nothing is left behind.
pub fn build<'a>(
    plan: &DatasetPlan,
    labels: Rows<'_>,
    events: &mut dyn FnMut(usize) -> Result<Rows<'a>, Cause>,
    on_demand: &mut OnDemand<'_>,
    report: &dyn Fn(Progress<'_>),
) -> Result<Built, DatasetError> {
    let layout = Layout::new(plan)?;
    let space = Space::new(&plan.resources.spill, plan.resources.memory_bytes / 4)?;
    let is_by_time = plan.split.as_ref().is_some_and(|split| matches!(split.by, SplitBy::Time { .. }));
    let mut labels = take_in(plan, labels, is_by_time, &space, report)?;
    let mut answers = Vec::with_capacity(layout.features.len());
    for (view, features) in layout.features.iter().enumerate() {
        answers.push(if features.is_empty() {
            None
        } else {
            let what = || plan.service.views.get(view).map_or_else(String::new, |view| view.name.clone());
            let events = events(view).map_err(|source| DatasetError::Input { what: what(), source })?;
            Some(join_view(plan, view, features, &labels, events, &space, report)?)
        });
    }
    let times = std::mem::take(&mut labels.times);
    let splitter = plan.split.as_ref().map(|split| Splitter::new(split, plan.labels.time, times));
    let definition = Definition::new(plan);
    let version = definition.version()?;

    let mut writer = DataWriter::new(&plan.output, &layout.schema, &version)?;
    let is_feature: Vec<bool> =
        layout.sources.iter().map(|source| matches!(source, Source::Feature { .. })).collect();
    let total = labels.rows.rows() as u64;
    let mut figures = Figures::new(&layout.schema, &is_feature, total, plan.resources.threads);
    let mut leaks = Leaks::new(plan, &layout);
    let mut assembler = Assembler::new(plan, &layout, &labels, &answers, splitter)?;
    let mut counter = Counter::new(report, Phase::Write, None, Some(total));
    while let Some(chunk) = assembler.next(on_demand)? {
        leaks.add(&chunk)?;
        figures.add(&chunk.rows, &chunk.statuses, chunk.first)?;
        writer.write(&chunk.rows)?;
        counter.add(chunk.rows.num_rows());
    }
    drop(counter);
    let sides = plan.split.as_ref().map(|_| assembler.sides);
    let written = writer.finish()?;
    if written.data.rows != total {
        return Err(DatasetError::broken(format!("{total} label rows, {} rows written", written.data.rows)));
    }
    let columns = describe(plan, &layout, figures.finish()?);
    let mut leakage = same_instant(&layout, &answers);
    leakage.extend(leaks.finish());
    let mut warnings = warnings(plan, &labels, &answers, &columns, sides.as_ref());
    let manifest = Manifest {
        format: MANIFEST_VERSION,
        version,
        definition,
        data: written.data.clone(),
        identity: layout.identity(plan),
        sides,
        columns,
        leakage,
        warnings: warnings.clone(),
    };
    let manifest_path = written.publish(&manifest)?;
    if labels.in_future > 0 {
        warnings.push(Warning::InFuture { rows: labels.in_future });
    }
    Ok(Built { manifest, manifest_path, warnings, spilled_bytes: space.spilled_bytes() })
}

fn describe(plan: &DatasetPlan, layout: &Layout, figures: Vec<ColumnStatistics>) -> Vec<DatasetColumn> {
    let role = |source: &Source| match source {
        Source::Label(number) if plan.labels.targets.contains(number) => Role::Target,
        Source::Label(_) => Role::Label,
        Source::Feature { view, .. } => {
            Role::Feature { view: plan.service.views.get(*view).map_or_else(String::new, |view| view.name.clone()) }
        }
        Source::OnDemand(_) => Role::OnDemand,
        Source::Split => Role::Split,
    };
    let fields = layout.schema.fields().iter().zip(&layout.sources).zip(figures);
    let column = |((field, source), statistics): ((&std::sync::Arc<arrow::datatypes::Field>, _), _)| {
        let (name, data_type) = (field.name().clone(), field.data_type().to_string());
        DatasetColumn { name, data_type, role: role(source), statistics }
    };
    fields.map(column).collect()
}

/// The features of views whose labels saw events of their own instant.
fn same_instant(layout: &Layout, answers: &[Option<Answers>]) -> Vec<Finding> {
    let finding = |(source, field): (&Source, &std::sync::Arc<arrow::datatypes::Field>)| {
        let Source::Feature { view, .. } = source else { return None };
        let answers = answers.get(*view)?.as_ref().filter(|answers| answers.same_instant > 0)?;
        let example = answers.same_instant_example.map(|row| Example { row, value: None, target: None });
        let (name, count) = (field.name().clone(), answers.same_instant);
        Some(Finding { name, leak: Leak::SameInstant, count, example })
    };
    layout.sources.iter().zip(layout.schema.fields()).filter_map(finding).collect()
}

fn warnings(
    plan: &DatasetPlan,
    labels: &Labels,
    answers: &[Option<Answers>],
    columns: &[DatasetColumn],
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
    let null = columns.iter().filter(|column| column.statistics.nulls == rows && column.role != Role::Split);
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
