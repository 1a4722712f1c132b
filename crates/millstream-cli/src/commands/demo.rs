//! `millstream demo`: the shop project with generated data, run at once, and then served while orders keep arriving.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use millstream_demo::{DemoOptions, ROWS_DEFAULT, ROWS_MAX, ROWS_MIN};
use millstream_engine::{Clock, Engine, RunRequest, SystemClock};
use millstream_server::{Backends, Server, ServerError, ServerOptions};
use millstream_telemetry::Metrics;
use millstream_types::Percent;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    CliError, Exit, human,
    output::{self, GOOD, STRONG, styled},
    progress::{
        self,
        summary::{command, summary},
    },
    project,
    serve::{Backend, Counting, Hangups, Life, Serving, Watcher, and_tell, serve},
    session::Session,
    settings, templates,
};

/// Name of the demo's folder when the command does not say.
const FOLDER: &str = "millstream-demo";
/// How many demos may lie next to each other.
const FOLDERS_MAX: u32 = 1_000;

/// The ports that are tried one after the other, before one that is free.
const PORT_FIRST: u16 = 6566;
const PORT_LAST: u16 = 6575;
/// How long the last lines have to be told.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long steps that are under way have to end once the demo is told to.
const DRAIN: Duration = Duration::from_secs(2);

/// A read at the end of the generated data, when every window has something in it.
const READ: &str = r#"curl -s localhost:${port}/v1/features/read -d '{"service": "checkout_v1", "entities": {"customer_id": [1, 2]}, "request": {"cart_value": [80, 12.5]}, "at": "2026-07-01T00:00:00Z"}'"#;

/// See it work: make a shop with generated data, run it, and serve it while new orders keep arriving
///
/// The data is the same for the same rows and seed. About one row in a hundred is dirty, so that there is
/// something to reject. Once everything has run, the shop lives: new files arrive at a human pace, and what reads them follows, until
/// Ctrl-C. With `--once` the command ends instead, as scripts want it. Another terminal sees it all by `millstream status --watch`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Rows to generate, over all files (500 to 1,000,000,000); `20M` is 20,000,000
    #[arg(long, default_value_t = ROWS_DEFAULT, value_parser = rows)]
    pub(crate) rows: u64,
    /// Seed of the random data; the same seed and rows give the same shop
    #[arg(long, default_value_t = 42, value_parser = human::whole_number)]
    pub(crate) seed: u64,
    /// The folder to create; without it, the first free of `millstream-demo`, `millstream-demo-2`, …
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// End when everything has run, instead of serving the shop
    #[arg(long)]
    pub(crate) once: bool,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    // Before anything else: without somebody who takes it, SIGHUP would end the process.
    let hangups = (!arguments.once).then(Hangups::listen);
    let root = match &arguments.path {
        Some(path) => path.clone(),
        None => free_folder()?,
    };
    if root.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::NotEmpty { path: root });
    }
    templates::find("shop")?.write(&root)?;
    let started = std::time::Instant::now();
    let data = DemoOptions { rows: arguments.rows, seed: arguments.seed };
    let generated = millstream_demo::generate(&root, data)?;
    if !session.settings.json {
        output::tell(&format!(
            "{} Shop created in {}: {} as Parquet, {} as CSV, {} as JSON lines ({}, {})\n",
            styled(GOOD, '✓'),
            root.display(),
            human::count(generated.customers, "customer"),
            human::count(generated.orders, "order"),
            human::count(generated.events, "event"),
            human::bytes(generated.bytes),
            human::duration(started.elapsed()),
        ));
    }
    let read_at = SystemClock.now();
    let engine = project::engine_at(&root, session).await?;
    let request = RunRequest { command: session.settings.line.clone(), ..RunRequest::default() };
    let events = progress::begin(&engine, session);
    let work = engine.run(&request, Duration::ZERO, events, session.cancel.clone());
    let report = and_tell(&engine, work).await?;
    if !session.settings.json {
        output::print(&format!("\n{}", summary(&report)))?;
    }
    if !report.succeeded() {
        return Ok(Exit::Failure);
    }
    let Some(hangups) = hangups else {
        if !session.settings.json {
            output::print(&next(&root, None))?;
        }
        return Ok(Exit::Success);
    };
    let loader = project::Loader::new(std::path::absolute(&root).unwrap_or_else(|_| root.clone()), session);
    let backend = Backend::open(engine.clone(), read_at, loader, Percent::ONE).await?;
    let shop = Shop { root: &root, data, backend: Arc::new(backend), engine };
    live(shop, hangups, session).await?;
    Ok(Exit::Success)
}

/// A shop that has run once.
struct Shop<'a> {
    root: &'a Path,
    data: DemoOptions,
    backend: Arc<Backend>,
    engine: Engine,
}

/// Serves the shop while orders arrive, until the command is asked to stop.
async fn live(shop: Shop<'_>, hangups: Hangups, session: &Session) -> Result<(), CliError> {
    let Shop { root, data, backend, engine } = shop;
    let (json, cancel) = (session.settings.json, &session.cancel);
    let metrics = Counting::begin(&engine, &backend)?;
    let server = bind(&backend, &metrics).await?;
    let address = server.address();
    if json {
        output::print_json(&json!({"address": address.to_string()}))?;
    } else {
        output::print(&next(root, Some(address)))?;
        output::tell(&format!(
            "\n{} The shop lives: http://{address}. New orders arrive, and what reads them follows. Ctrl-C ends it\n",
            styled(GOOD, '✓')
        ));
    }
    let life = Life::begin();
    let followed = tokio::spawn(life.clone().follow(engine.events().subscribe(), json));
    drop(engine);
    let stopped = cancel.child_token();
    let serving = async {
        let watcher = Some(Watcher::of(root.to_owned()));
        let (backend, drain, is_told) = (backend.clone(), DRAIN, !json);
        let serving = Serving { server, backend, metrics, hangups, watcher, drain, is_told };
        let served = serve(serving, cancel.clone()).await;
        stopped.cancel();
        served
    };
    let arriving = async {
        let arrived = life.clone().arrive(root, data, !json, stopped.clone()).await;
        // The server goes on, so that whoever watches it is told at once.
        match &arrived {
            _ if stopped.is_cancelled() => {}
            Ok(()) if json => tracing::info!("the shop's year is over: no further orders arrive"),
            Ok(()) => output::tell("The shop's year is over: no further orders arrive\n"),
            Err(error) => tracing::error!(%error, "no further orders arrive"),
        }
        arrived
    };
    let (served, arrived) = tokio::join!(serving, arriving);
    // The last lines are told once the bus is gone, and that goes with the backend.
    drop(backend);
    let _ = timeout(LAST_LINES, followed).await;
    if !json {
        output::print_line(&life.summary())?;
        let folder = format!("cd {} && millstream serve", root.display());
        output::print_line(&format!("  {} goes on with it, without new orders", command(&folder)))?;
    }
    served.and(arrived)
}

/// Listens on this machine alone, on the first port that is free.
async fn bind(backend: &Arc<Backend>, metrics: &Arc<Metrics>) -> Result<Server, CliError> {
    for port in PORT_FIRST..=PORT_LAST {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let options = ServerOptions { address, metrics: Some(metrics.clone()), ..ServerOptions::default() };
        match Server::bind(options, Backends::of(backend.clone())).await {
            Ok(server) => return Ok(server),
            Err(ServerError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (address, metrics) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(metrics.clone()));
    let options = ServerOptions { address, metrics, ..ServerOptions::default() };
    Ok(Server::bind(options, Backends::of(backend.clone())).await?)
}

fn rows(text: &str) -> Result<u64, String> {
    let rows = human::whole_number(text)?;
    if (ROWS_MIN..=ROWS_MAX).contains(&rows) {
        return Ok(rows);
    }
    let (least, most) = (human::thousands(ROWS_MIN), human::thousands(ROWS_MAX));
    Err(format!("write a number from {least} to {most}"))
}

fn free_folder() -> Result<PathBuf, CliError> {
    let names = std::iter::once(FOLDER.to_owned()).chain((2..=FOLDERS_MAX).map(|n| format!("{FOLDER}-{n}")));
    names.map(PathBuf::from).find(|path| !path.exists()).ok_or_else(|| {
        CliError::call("every name for a demo folder is taken", Some("name one with `--path DIR`".to_owned()))
    })
}

/// What to try next, in another terminal while the shop is served; every command works in the demo's folder.
fn next(root: &Path, served: Option<SocketAddr>) -> String {
    let watch = ("millstream status --watch", "every asset, as it changes");
    let run = ("millstream run", "nothing is new, so nothing runs");
    let commands = [
        if served.is_some() { watch } else { run },
        ("millstream rejected bronze.orders", "the bad rows, by reason, with examples"),
        ("millstream query \"select * from gold.revenue_by_country order by revenue desc\"", "ask anything"),
        ("millstream lineage gold.customer_value.spent", "where a column comes from, and who uses it"),
        ("millstream lineage dataset:churn", "what the training set is made of"),
        ("millstream status", "versions, rows, ages, checks"),
        ("millstream test", "the project's own tests"),
        ("millstream features show orders", "what a feature is made of, and who uses it"),
        (
            "millstream dataset build churn",
            "the training set again: nothing changed, so it is the same version",
        ),
    ];
    let head = if served.is_some() { "Try next, in another terminal" } else { "Try next" };
    let mut text = format!("\n{}\n  {}\n", styled(STRONG, head), command(&format!("cd {}", root.display())));
    if let Some(program) = settings::program_off_path() {
        text.push_str(&format!("  {}\n", command(&format!("alias millstream='{}'", program.display()))));
    }
    for (line, why) in commands {
        text.push_str(&format!("  {}\n      {why}\n", command(line)));
    }
    if served.is_none() {
        let serve = "the features over HTTP; then, in another terminal:";
        text.push_str(&format!("  {}\n      {serve}\n", command("millstream serve")));
    }
    let port = served.map_or(PORT_FIRST, |address| address.port());
    text.push_str(&format!("  {}\n", command(&READ.replace("${port}", &port.to_string()))));
    text
}
