//! `millstream features`: what there is, and bringing it into the online store.

use std::sync::Arc;

use millstream_engine::{
    FeatureList, FeatureServer, MaterializeMode, MaterializeReport, MaterializeRequest, Materialized,
};
use millstream_types::TableName;

use crate::{
    CliError, ErrorReport, Exit, human,
    output::{self, CAUTION, FAINT, GOOD, STRONG, styled},
    progress::counter::Counter,
    project,
    serve::and_tell,
    session::{Session, tell_failure},
    show::table,
    wire::{FeatureListDocument, MaterializeDocument, MaterializedView, Of, ViewFailed},
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
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let list = engine.features().await?;
    if session.settings.json {
        output::print_json(&FeatureListDocument::of(&list))?;
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
                match &view.materialized {
                    Some(done) => versions(&done.versions),
                    None if list.is_store_open => "never".to_owned(),
                    None => "in use".to_owned(),
                },
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["view", "entity", "from", "features", "owner", "online"];
        text.push_str(&table::table(&header, &rows, &[false, false, false, true, false, false]));
        if !list.is_store_open {
            let told =
                "The online store is in use by another process, as by `millstream serve`: ask its `/ready`.";
            text.push_str(&format!("{} {told}\n", styled(CAUTION, '!')));
        }
    }
    for (view, stale) in list.views.iter().filter_map(|view| Some((view, view.stale.as_ref()?))) {
        text.push_str(&format!("{} {} is stale: {}\n", styled(CAUTION, '!'), view.name, stale.cause));
    }
    let rows: Vec<Vec<String>> = list
        .services
        .iter()
        .map(|service| {
            let versions: Vec<String> =
                service.versions.iter().map(|(version, _)| version.to_string()).collect();
            vec![
                service.name.clone(),
                match service.current {
                    Some(version) => version.to_string(),
                    None if service.is_defined => "new".to_owned(),
                    None => "gone".to_owned(),
                },
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
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let request = MaterializeRequest {
        views: arguments.views.clone(),
        full: arguments.full,
        alone: true,
        until: None,
        command: session.settings.line.clone(),
        principal: None,
    };
    let Materialized { reports, failures } = materialize(&engine, &request, session).await?;
    let done = project::done(engine.project(), !arguments.views.is_empty());
    let exit = if failures.is_empty() { done } else { Exit::Failure };
    let failures = failures.into_iter().map(|failure| (failure.view, CliError::from(failure.error).report()));
    let failures: Vec<(String, ErrorReport)> = failures.collect();
    if session.settings.json {
        let views = reports.iter().map(MaterializedView::from).collect();
        let failed = failures.iter().map(|(view, report)| ViewFailed::new(view, report)).collect();
        output::print_json(&MaterializeDocument { views, failed })?;
        return Ok(exit);
    }
    for report in &reports {
        output::print_line(&told(report))?;
    }
    for (_, report) in &failures {
        tell_failure(report);
    }
    Ok(exit)
}

/// Materialises views, and shows the progress in a line.
pub(crate) async fn materialize(
    engine: &millstream_engine::Engine,
    request: &MaterializeRequest,
    session: &Session,
) -> Result<Materialized, CliError> {
    let server = FeatureServer::open_for_work(engine).await?;
    let events =
        engine.begin(&session.settings.line).observed_by(Arc::new(Counter::start("materialising ", session)));
    let work = server.materialize(request, events, session.cancel.clone());
    let done = and_tell(engine, work).await?;
    if !session.settings.json {
        tell_unread(&server.unread_pushes().await?);
    }
    server.close().await?;
    Ok(done)
}

/// Warns of pushed rows that nothing reads.
pub(crate) fn tell_unread(tables: &[TableName]) {
    for table in tables {
        let why = "holds rows that were pushed to a view of another name; a view that is renamed leaves them behind";
        output::tell(&format!("{} `{table}` {why}", styled(CAUTION, '!')));
    }
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
    let mut text = format!("{} {}  {what}", styled(GOOD, '✓'), report.view);
    if report.left_out > 0 {
        let rows = human::count(report.left_out, "row");
        let why = "left out: the online store cannot hold keys as long as theirs";
        text.push_str(&format!("\n{} {rows} of {} {why}", styled(CAUTION, '!'), report.view));
    }
    text
}

async fn remove(arguments: &RemoveArguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open(session)?, session).await?;
    let server = FeatureServer::open_for_work(&engine).await?;
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
