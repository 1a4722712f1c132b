//! `millstream dataset`: training sets, built, listed, compared.

use std::{path::PathBuf, sync::Arc};

use millstream_engine::{BuiltDataset, DatasetReport, DatasetRequest, FileState};
use millstream_ml::dataset::{Finding, Leak};

use crate::{
    CliError, Exit, human,
    output::{self, CAUTION, FAINT, GOOD, STRONG, styled},
    progress::counter::Counter,
    project,
    serve::and_tell,
    session::Session,
    show::table,
    wire::{DatasetBuilt, DatasetEntry, DatasetListDocument, Of},
};

mod compare;
mod estimate;

/// Build training sets: labels joined with features as they were known at each label's time
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    Build(BuildArguments),
    /// Show the built versions: rows, columns, features, when and where; and the datasets that were never built
    List,
    Diff(compare::Arguments),
}

/// Join the labels with the features, write the file and its manifest, and pin what it was built from
#[derive(clap::Args, Debug)]
struct BuildArguments {
    /// The dataset, as its file in `datasets/` is called
    name: String,
    /// The Parquet file to write; without it, what the dataset says, or a new one below `.millstream/datasets/`
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say rows, bytes and time, and build nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    match &arguments.action {
        Action::Build(arguments) => run_build(arguments, session).await,
        Action::List => list(session).await,
        Action::Diff(arguments) => compare::run(arguments, session).await,
    }
}

async fn run_build(arguments: &BuildArguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let is_defined = project.spec.datasets.iter().any(|dataset| dataset.name == arguments.name);
    if !project.is_whole && !is_defined {
        output::tell(&format!("`{}` is not among what goes on", arguments.name));
        return Ok(Exit::Usage);
    }
    let engine = project::engine(project, session).await?;
    let request = DatasetRequest {
        name: arguments.name.clone(),
        output: arguments.output.clone(),
        memory_bytes: project::memory_bytes(engine.project(), session),
        command: session.settings.line.clone(),
        principal: None,
    };
    if arguments.dry_run {
        return estimate::run(&engine, &request, session).await;
    }
    let report = build(&engine, &request, session).await?;
    if session.settings.json {
        output::print_json(&DatasetBuilt::from(&report))?;
    } else {
        output::print(&told(&report))?;
    }
    Ok(Exit::Success)
}

/// Builds a dataset, and shows the progress in a line.
pub(crate) async fn build(
    engine: &millstream_engine::Engine,
    request: &DatasetRequest,
    session: &Session,
) -> Result<DatasetReport, CliError> {
    let events = engine.begin(&session.settings.line).observed_by(Arc::new(Counter::start("", session)));
    let work = engine.build_dataset(request, events, session.cancel.clone());
    Ok(and_tell(engine, work).await?)
}

/// What was built, in a few lines.
pub(crate) fn told(report: &DatasetReport) -> String {
    let manifest = &report.manifest;
    let mut text = format!(
        "{} {}@{}  {}, {}  {}{}\n",
        styled(GOOD, '✓'),
        report.name,
        report.version,
        human::count(manifest.data.rows, "row"),
        human::count(manifest.columns.len() as u64, "column"),
        human::bytes(manifest.data.bytes),
        if report.is_unchanged {
            styled(FAINT, "  unchanged: the same inputs and definitions")
        } else {
            format!("  {}", human::duration(report.elapsed))
        },
    );
    match &report.delta {
        Some(delta) => text.push_str(&format!(
            "  {} v{}{}\n",
            delta.folder.display(),
            delta.version,
            styled(FAINT, format!("  {}", report.path.display())),
        )),
        None => text.push_str(&format!("  {}\n", report.path.display())),
    }
    if let Some(sides) = &manifest.sides {
        text.push_str(&format!(
            "  train {}  validation {}  test {}",
            human::thousands(sides.train),
            human::thousands(sides.validation),
            human::thousands(sides.test),
        ));
        let none = sides.embargoed + sides.without_time;
        if none > 0 {
            text.push_str(&format!("  on no side {}", human::thousands(none)));
        }
        text.push('\n');
    }
    for input in &manifest.definition.inputs {
        text.push_str(&styled(FAINT, format!("  from {} v{}\n", input.table, input.version)));
    }
    if report.spilled_bytes > 0 {
        text.push_str(&styled(FAINT, format!("  {} went to disk\n", human::bytes(report.spilled_bytes))));
    }
    for (asset, stale) in &report.stale {
        text.push_str(&format!(
            "{} {asset}, of which it was made, is stale: {}\n",
            styled(CAUTION, '!'),
            stale.cause
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!("{} {warning}\n", styled(CAUTION, '!')));
    }
    for finding in &manifest.leakage {
        text.push_str(&format!("{} {}\n", styled(CAUTION, "leak?"), leak(finding)));
    }
    text
}

fn leak(finding: &Finding) -> String {
    let Finding { name, leak, count, .. } = finding;
    let rows = human::count(*count, "row");
    match leak {
        Leak::SameInstant => format!("`{name}` saw events of the label's own instant in {rows}"),
        Leak::EqualsTarget { target } => format!("`{name}` equals `{target}` in {rows}"),
        Leak::Correlates { target, correlation } => {
            format!("`{name}` moves with `{target}` (correlation {correlation:.4}, {rows})")
        }
        Leak::Determines { target, .. } => format!("each value of `{name}` has one `{target}` ({rows})"),
        Leak::SharedEntities { .. } => {
            format!("{} of `{name}` have rows on more than one side", human::thousands(*count))
        }
    }
}

async fn list(session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let built = engine.datasets().await?;
    if session.settings.json {
        let stale = engine.stale().await?;
        let datasets = built.iter().map(|built| DatasetEntry::of((built, &stale))).collect();
        output::print_json(&DatasetListDocument { datasets })?;
        return Ok(Exit::Success);
    }
    let defined = &engine.project().spec.datasets;
    let never = defined.iter().filter(|spec| !built.iter().any(|built| built.dataset == spec.name));
    let rows: Vec<Vec<String>> = built.iter().map(row).collect();
    if !rows.is_empty() {
        let header = ["dataset", "rows", "columns", "features", "built", "file"];
        output::print(&table::table(&header, &rows, &[false, true, true, false, false, false]))?;
    }
    for spec in never {
        let command = format!("millstream dataset build {}", spec.name);
        output::print_line(&format!("{}  never built: {}", styled(STRONG, &spec.name), command))?;
    }
    Ok(Exit::Success)
}

fn row(built: &BuiltDataset) -> Vec<String> {
    let at = chrono::DateTime::from_timestamp_micros(built.at.0);
    vec![
        format!("{}@{}", built.dataset, built.version),
        human::thousands(built.rows),
        human::thousands(built.columns.len() as u64),
        built.service.clone().unwrap_or_else(|| "own list".to_owned()),
        at.map(|at| at.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
        match built.file_state() {
            FileState::Present => built.path.display().to_string(),
            FileState::Missing => format!("{} is gone", built.path.display()),
            FileState::Changed => format!("{} holds something else", built.path.display()),
        },
    ]
}
