//! `millstream features`: what there is, and bringing it into the online store.

use std::sync::Arc;

use millstream_engine::{
    FeatureList, FeatureServer, MaterializeMode, MaterializeProgress, MaterializeReport, MaterializeRequest,
};
use millstream_types::TableName;

use crate::{
    CliError, Exit, human,
    output::{self, FAINT, GOOD, STRONG, styled},
    progress::counter::Counter,
    project,
    session::Session,
    show::table,
    wire::{FeatureListDocument, MaterializeDocument, MaterializedView},
};

mod figures;
mod show;
mod verify;

/// Browse features and services, and bring them into the online store
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Show views and services, with owners, users and the freshness of what is served
    List,
    Show(show::Arguments),
    Materialize(MaterializeArguments),
    Verify(verify::Arguments),
    Remove(RemoveArguments),
}

/// Bring views from the lake into the online store: what is new since the last time, or everything
#[derive(clap::Args, Debug)]
struct MaterializeArguments {
    /// Views; without one, all, and those that older service versions still need
    views: Vec<String>,
    /// Compute every entity anew
    #[arg(long)]
    full: bool,
}

/// Stop serving a version of a service, and free what only it needed
#[derive(clap::Args, Debug)]
struct RemoveArguments {
    /// As in `churn_v1@2`
    service: String,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    match &arguments.action {
        Action::List => list(session).await,
        Action::Show(arguments) => show::run(arguments, session).await,
        Action::Materialize(arguments) => run_materialize(arguments, session).await,
        Action::Verify(arguments) => verify::run(arguments, session).await,
        Action::Remove(arguments) => remove(arguments, session).await,
    }
}

async fn list(session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open(session)?, session)?;
    let list = engine.features().await?;
    if session.settings.json {
        output::print_json(&FeatureListDocument::from(&list))?;
    } else {
        output::print(&listed(&list))?;
    }
    Ok(Exit::Success)
}

fn listed(list: &FeatureList) -> String {
    let mut text = String::new();
    let rows: Vec<Vec<String>> = list
        .views
        .iter()
        .map(|view| {
            vec![
                view.name.clone(),
                view.entity.clone(),
                view.from.clone(),
                view.features.len().to_string(),
                view.owner.clone().unwrap_or_default(),
                view.materialized
                    .as_ref()
                    .map_or_else(|| "never".to_owned(), |done| versions(&done.versions)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["view", "entity", "from", "features", "owner", "online"];
        text.push_str(&table::table(&header, &rows, &[false, false, false, true, false, false]));
    }
    let rows: Vec<Vec<String>> = list
        .services
        .iter()
        .map(|service| {
            let versions: Vec<String> =
                service.versions.iter().map(|(version, _)| version.to_string()).collect();
            vec![
                service.name.clone(),
                service.current.map_or_else(|| "gone".to_owned(), |version| version.to_string()),
                versions.join(", "),
                service.features.len().to_string(),
                service.datasets.join(", "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["service", "version", "served", "features", "datasets"];
        text.push_str(&format!("\n{}", table::table(&header, &rows, &[false, true, false, true, false])));
    }
    if !list.on_demand.is_empty() {
        text.push_str(&format!("\n{}\n", styled(STRONG, "On demand")));
        for one in &list.on_demand {
            text.push_str(&format!("  {}  {}\n", one.name, styled(FAINT, &one.sql)));
        }
    }
    if text.is_empty() {
        text.push_str("The project defines no features: write `features/<entity>.yaml`.\n");
    }
    text
}

fn versions(versions: &std::collections::BTreeMap<TableName, i64>) -> String {
    versions.iter().map(|(table, version)| format!("{table} v{version}")).collect::<Vec<_>>().join(", ")
}

async fn run_materialize(arguments: &MaterializeArguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open(session)?, session)?;
    let request = MaterializeRequest { views: arguments.views.clone(), full: arguments.full, alone: true };
    let reports = materialize(&engine, &request, session).await?;
    if session.settings.json {
        let views = reports.iter().map(MaterializedView::from).collect();
        output::print_json(&MaterializeDocument { views })?;
    } else {
        for report in &reports {
            output::print_line(&told(report))?;
        }
    }
    Ok(Exit::Success)
}

/// Materialises with a line of progress.
pub(crate) async fn materialize(
    engine: &millstream_engine::Engine,
    request: &MaterializeRequest,
    session: &Session,
) -> Result<Vec<MaterializeReport>, CliError> {
    let server = FeatureServer::open(engine, 0.0).await?;
    let counter = Arc::new(Counter::start(session));
    let shown = counter.clone();
    let told = Arc::new(move |progress: &MaterializeProgress| {
        shown.show(&format!("materialising {}", progress.view), progress.rows, None);
    });
    let reports = server.materialize(request, told, session.cancel.clone()).await;
    counter.finish();
    let reports = reports?;
    server.close().await?;
    Ok(reports)
}

/// One line for a view.
pub(crate) fn told(report: &MaterializeReport) -> String {
    let what = match report.mode {
        MaterializeMode::UpToDate => styled(FAINT, "up to date"),
        MaterializeMode::Incremental | MaterializeMode::Full => {
            let kind = if report.mode == MaterializeMode::Full { "full" } else { "incremental" };
            let rate = human::rate(report.rows, report.elapsed);
            let rate = rate.map(|rate| format!("  {rate}")).unwrap_or_default();
            format!(
                "{}  {}  {kind}  {}{rate}",
                human::count(report.rows, "row"),
                human::count(report.entities, "record"),
                human::duration(report.elapsed),
            )
        }
    };
    format!("{} {}  {what}", styled(GOOD, '✓'), report.view)
}

async fn remove(arguments: &RemoveArguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open(session)?, session)?;
    let server = FeatureServer::open(&engine, 0.0).await?;
    let dropped = server.remove(&arguments.service).await?;
    server.close().await?;
    let freed = human::count(dropped as u64, "view");
    output::print_line(&format!(
        "{} {} is no longer served; {freed} freed in the online store",
        styled(GOOD, '✓'),
        arguments.service
    ))?;
    Ok(Exit::Success)
}
