//! `millstream serve`: answer requests for features until asked to stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use millstream_engine::{Clock, SystemClock};
use millstream_server::{Backends, FeastCompat, Limits, Server, ServerOptions, TlsFiles, Token};
use millstream_telemetry::Metrics;
use millstream_types::{DurationError, Percent, Span};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    CliError, Exit,
    address::Address,
    human,
    output::{self, CAUTION, GOOD, styled},
    project,
    serve::{
        Counting, Hangups, Notify, Serving, Watcher,
        limits::{self, Limit},
        log_steps, serve, stand_by, tokens,
    },
    session::Session,
    settings::variable,
};

/// How long a server that stops waits for the last lines of its log.
const LOG_TIME: Duration = Duration::from_secs(1);

/// The variable that holds the token of requests.
const TOKEN_VARIABLE: &str = "MILLSTREAM_TOKEN";

/// Serve features, pushes, queries, datasets and runs over HTTP
///
/// Feast's clients are answered on their own paths. The server listens on this machine alone; another address needs a
/// token in the variable MILLSTREAM_TOKEN, which requests send as `Authorization: Bearer …`, and with `--tls-cert` it speaks TLS.
/// What is saved in the project's files is taken over within a second; SIGHUP, or `POST /v1/reload`, asks for that too. Assets with
/// triggers run by themselves as long as it serves.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Where to listen, a host and a port; port 0 takes a free one
    #[arg(long, default_value_t, value_name = "ADDRESS")]
    pub(crate) address: Address,
    /// Answer on Feast's paths with Feast's own quirks
    #[arg(long, value_enum, default_value = "correct")]
    pub(crate) feast_compat: Compat,
    /// Speak TLS with the certificate of this PEM file, which also has those that it is signed by; it is taken over again when
    /// it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The PEM file of the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Take the tokens of this JSON file too, each with a name and a scope: read, write or admin. The one of MILLSTREAM_TOKEN
    /// may do everything
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TOKENS", hide_env_values = true)]
    pub(crate) tokens: Option<PathBuf>,
    /// Keep this share of the served entities' values, so that `features verify` can compare them with the lake
    #[arg(long, default_value = "1%", value_name = "PERCENT")]
    pub(crate) sample: Percent,
    /// Leave the project's files alone until SIGHUP or `POST /v1/reload` asks for them
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// How long steps that run by themselves have to end when the server is told to stop: `30s`, `5m`, `0s`. Nothing starts
    /// meanwhile, and a second signal ends the process at once
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = drain)]
    pub(crate) drain: Duration,
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

/// A span, which may be none at all.
fn drain(text: &str) -> Result<Duration, String> {
    match text.parse::<Span>() {
        Ok(span) => Ok(span.as_std()),
        Err(DurationError::TooShort { .. }) => Ok(Duration::ZERO),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    // Before anything else: without somebody who takes it, the signal would end the process.
    let hangups = Hangups::listen();
    let (started, read_at) = (std::time::Instant::now(), SystemClock.now());
    let limits = limits::changed(&arguments.limits)?;
    let root = project::find_root(session)?;
    let watcher = (!arguments.no_watch).then(|| Watcher::of(root));
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let loader = project::Loader::of(session)?;
    let opened = stand_by::open(&engine, read_at, &loader, arguments.sample, session).await?;
    // Another server still runs, and this one was told to end.
    let Some(backend) = opened.map(Arc::new) else { return Ok(Exit::Success) };
    let metrics = Counting::begin(&engine, &backend)?;
    let options = options(arguments, limits, metrics.clone())?;
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let server = Server::bind(options, Backends::of(backend.clone())).await.map_err(CliError::from)?;
    let address = server.address();
    if session.settings.json {
        output::print_json(&json!({"address": address.to_string()}))?;
    } else {
        let in_time = human::duration(started.elapsed());
        output::tell(&format!("{} Serving on {scheme}://{address} ({in_time})", styled(GOOD, '✓')));
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
    tracing::info!("serving on {scheme}://{address}");
    backend.remember(None).await;
    let notify = Notify::of_environment();
    notify.ready();
    let signs = tokio::spawn(notify.live(session.cancel.clone()));
    let logged = tokio::spawn(log_steps(engine.events().subscribe()));
    drop(engine);
    let is_told = !session.settings.json;
    let (counted, drain) = (backend.clone(), arguments.drain);
    let serving = Serving { server, backend: counted, metrics, hangups, watcher, drain, is_told };
    let served = serve(serving, session.cancel.clone()).await;
    // The service manager is told of the end, unless the server ended by itself.
    let signs_ended = async {
        session.cancel.cancelled().await;
        signs.await
    };
    if timeout(LOG_TIME, signs_ended).await.is_err() {
        tracing::debug!("the service manager was not told of the end");
    }
    // The log has the last steps once the bus is gone, and that goes with the backend, unless something holds on to it.
    drop(backend);
    if timeout(LOG_TIME, logged).await.is_err() {
        tracing::warn!("the log may lack how the last steps ended");
    }
    served?;
    Ok(Exit::Success)
}

fn options(arguments: &Arguments, limits: Limits, metrics: Arc<Metrics>) -> Result<ServerOptions, CliError> {
    Ok(ServerOptions {
        address: arguments.address.resolve()?,
        token: variable(TOKEN_VARIABLE).filter(|token| !token.is_empty()).map(Token::new),
        tokens: arguments.tokens.as_deref().map(tokens::read).transpose()?.unwrap_or_default(),
        feast_compat: match arguments.feast_compat {
            Compat::Correct => FeastCompat::Correct,
            Compat::Strict => FeastCompat::Strict,
        },
        limits,
        tls: tls(arguments),
        metrics: Some(metrics),
        open_metrics: arguments.open_metrics,
    })
}

/// The files of the certificate; the command line takes both or none.
fn tls(arguments: &Arguments) -> Option<TlsFiles> {
    let (certificate, key) = (arguments.tls_cert.clone()?, arguments.tls_key.clone()?);
    Some(TlsFiles { certificate, key })
}
