//! `millstream serve`: answer requests for features until asked to stop.

use std::{path::PathBuf, sync::Arc};

use millstream_server::{Backends, FeastCompat, Server, ServerOptions, Token};
use millstream_types::Percent;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    CliError, Exit,
    address::Address,
    human,
    output::{self, CAUTION, GOOD, styled},
    project,
    serve::{
        Backend, keep_fresh,
        limits::{self, Limit},
        log_steps, reload_on_hangup, tokens,
    },
    session::Session,
    settings::variable,
};

/// The variable that holds the token of requests.
const TOKEN_VARIABLE: &str = "MILLSTREAM_TOKEN";

/// Serve features, pushes, queries, datasets and runs over HTTP
///
/// Feast's clients are answered on their own paths. The server listens on this machine alone; another address needs a
/// token in the variable MILLSTREAM_TOKEN, which requests send as `Authorization: Bearer …`. SIGHUP, or `POST /v1/reload`,
/// has it take over the project's files as they are then.
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
    /// buffered_bytes, rows, values, query_rows, connections, concurrent_requests, request_time, job_time, idle_time and
    /// shutdown_time
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limits::parse)]
    pub(crate) limits: Vec<Limit>,
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
    let started = std::time::Instant::now();
    let limits = limits::changed(&arguments.limits)?;
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let backend = Backend::open(engine.clone(), project::Loader::of(session)?, arguments.sample).await?;
    let backend = Arc::new(backend);
    let options = ServerOptions {
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
    let mut beside = JoinSet::new();
    beside.spawn(log_steps(engine.events().clone()));
    drop(engine);
    beside.spawn(keep_fresh(backend.clone(), session.cancel.clone()));
    beside.spawn(reload_on_hangup(backend.clone(), session.cancel.clone()));
    let served = server.run(session.cancel.clone()).await;
    tracing::info!("no longer serving");
    // They end with the server, whatever ended that.
    beside.shutdown().await;
    backend.close().await?;
    served.map_err(CliError::from)?;
    Ok(Exit::Success)
}
