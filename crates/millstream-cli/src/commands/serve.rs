//! `millstream serve`: answer requests for features until asked to stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use millstream_engine::{Clock, SystemClock};
use millstream_server::{Backends, FeastCompat, Server, ServerOptions, Token};
use millstream_types::Percent;
use serde_json::json;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    CliError, Exit,
    address::Address,
    human,
    output::{self, CAUTION, GOOD, styled},
    project,
    serve::{
        Backend, Counting, Hangups, keep_fresh, keep_telling,
        limits::{self, Limit},
        log_steps, tokens,
    },
    session::Session,
    settings::variable,
};

/// How long a server that stops waits for its own run of views, and for steps that it started.
const LAST_TIME: Duration = Duration::from_secs(10);

/// How long a server that stops waits for the last lines of its log.
const LOG_TIME: Duration = Duration::from_secs(1);

/// The variable that holds the token of requests.
const TOKEN_VARIABLE: &str = "MILLSTREAM_TOKEN";

/// Serve features, pushes, queries, datasets and runs over HTTP
///
/// Feast's clients are answered on their own paths. The server listens on this machine alone; another address needs a
/// token in the variable MILLSTREAM_TOKEN, which requests send as `Authorization: Bearer …`. SIGHUP, or `POST /v1/reload`,
/// has it take over the project's files as they are then. Assets with
/// triggers run by themselves as long as it serves.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Where to listen, a host and a port; port 0 takes a free one
    #[arg(long, default_value_t, value_name = "ADDRESS")]
    pub(crate) address: Address,
    /// Answer on Feast's paths with Feast's own quirks
    #[arg(long, value_enum, default_value = "correct")]
    pub(crate) feast_compat: Compat,
    /// Take the tokens of this JSON file too, each with a name and a scope: read, write or admin. The one of MILLSTREAM_TOKEN
    /// may do everything
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TOKENS", hide_env_values = true)]
    pub(crate) tokens: Option<PathBuf>,
    /// Keep this share of the served entities' values, so that `features verify` can compare them with the lake
    #[arg(long, default_value = "1%", value_name = "PERCENT")]
    pub(crate) sample: Percent,
    /// Change a bound, as in `rows=200000` or `request_time=60s`; may be given several times. The bounds are body_bytes,
    /// buffered_bytes, rows, values, answer_bytes, query_rows, query_bytes, connections, concurrent_requests, request_time,
    /// job_time, idle_time, shutdown_time and query_shutdown_time
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limits::parse)]
    pub(crate) limits: Vec<Limit>,
    /// Answer `/metrics` without a token; only while the server listens on this machine alone
    #[arg(long)]
    pub(crate) open_metrics: bool,
}

/// How closely Feast is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compat {
    /// Statuses say what is the case
    Correct,
    /// As Feast 0.67 answers: nulls are PRESENT
    Strict,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    // Before anything else: without somebody who takes it, the signal would end the process.
    let hangups = Hangups::listen();
    let (started, read_at) = (std::time::Instant::now(), SystemClock.now());
    let limits = limits::changed(&arguments.limits)?;
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let loader = project::Loader::of(session)?;
    let backend = Arc::new(Backend::open(engine.clone(), read_at, loader, arguments.sample).await?);
    let metrics = Counting::begin(&engine, &backend)?;
    let options = ServerOptions {
        metrics: Some(metrics.clone()),
        open_metrics: arguments.open_metrics,
        address: arguments.address.resolve()?,
        token: variable(TOKEN_VARIABLE).filter(|token| !token.is_empty()).map(Token::new),
        tokens: arguments.tokens.as_deref().map(tokens::read).transpose()?.unwrap_or_default(),
        feast_compat: match arguments.feast_compat {
            Compat::Correct => FeastCompat::Correct,
            Compat::Strict => FeastCompat::Strict,
        },
        limits,
    };
    let server = Server::bind(options, Backends::of(backend.clone())).await.map_err(CliError::from)?;
    let address = server.address();
    if session.settings.json {
        output::print_json(&json!({"address": address.to_string()}))?;
    } else {
        let in_time = human::duration(started.elapsed());
        output::tell(&format!("{} Serving on http://{address} ({in_time})", styled(GOOD, '✓')));
        for view in backend.live().features.never_materialized().await? {
            output::tell(&format!(
                "{} `{view}` was never materialised: `millstream features materialize {view}`",
                styled(CAUTION, '!')
            ));
        }
    }
    if !session.settings.json {
        super::features::tell_unread(&backend.live().features.unread_pushes().await?);
    }
    tracing::info!("serving on http://{address}");
    let logged = tokio::spawn(log_steps(engine.events().subscribe()));
    drop(engine);
    // The tasks beside the server end with it, whatever ended it.
    let stopped = session.cancel.child_token();
    let telling = tokio::spawn(keep_telling(backend.clone(), metrics, stopped.clone()));
    let kept_fresh = tokio::spawn(keep_fresh(backend.clone(), stopped.clone()));
    let scheduled = backend.keep_scheduled(stopped.clone());
    let is_told = !session.settings.json;
    let reloads = tokio::spawn(hangups.reload(backend.clone(), session.cancel.clone(), is_told));
    let served = server.run(session.cancel.clone()).await;
    tracing::info!("no longer serving");
    stopped.cancel();
    reloads.abort();
    // A run that brings views up to date gets time to record its end, and meanwhile steps that ran get time to end; what those
    // were about is recorded, and the next process starts them once more.
    tokio::join!(ended(kept_fresh), ended(scheduled));
    // The ends of steps are told too.
    ended(telling).await;
    let closed = backend.close().await;
    // The log has the last steps once the bus is gone, and that goes with the backend, unless something holds on to it.
    drop(backend);
    if timeout(LOG_TIME, logged).await.is_err() {
        tracing::warn!("the log may lack how the last steps ended");
    }
    served.map_err(CliError::from).and(closed)?;
    Ok(Exit::Success)
}

/// Waits a while until the work has ended by itself, and breaks it off if it has not.
async fn ended<T>(mut work: JoinHandle<T>) {
    if timeout(LAST_TIME, &mut work).await.is_err() {
        work.abort();
    }
}
