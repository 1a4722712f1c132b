//! A server whose embedded online store another process has open: it stands by until that process ends, and then takes its place. That may be
//! the server before it, which still gives its steps time to end, or a run that brings views up to date.

use std::time::Duration;

use millstream_engine::{Engine, FeatureServer};
use millstream_types::{Percent, TimestampMicros};

use super::Backend;
use crate::{
    CliError,
    output::{CAUTION, styled, tell},
    project::Loader,
    session::Session,
};

/// The code of an online store that is in use.
const IN_USE: &str = "MS-1002";

/// How often it is looked whether the store is free.
const EVERY: Duration = Duration::from_millis(500);

/// Opens what the server serves, once its online store is free; `None` when the server is told to end before. The files of the engine's
/// project were read from `read_at` on.
pub(crate) async fn open(
    engine: &Engine,
    read_at: TimestampMicros,
    loader: &Loader,
    sample: Percent,
    session: &Session,
) -> Result<Option<Backend>, CliError> {
    loop {
        match Backend::open(engine.clone(), read_at, loader.clone(), sample).await {
            Err(error) if is_in_use(&error) => {
                if !wait(engine, &error, session).await {
                    return Ok(None);
                }
            }
            opened => return opened.map(Some),
        }
    }
}

/// Waits until the store is free; `false` when the server is told to end.
async fn wait(engine: &Engine, in_use: &CliError, session: &Session) -> bool {
    let because = in_use.report().causes.join(": ");
    match session.settings.json {
        true => tracing::warn!("{because}; this server stands by until that ends"),
        false => tell(&format!("{} {because}; this server stands by until that ends", styled(CAUTION, '!'))),
    }
    loop {
        tokio::select! {
            () = session.cancel.cancelled() => return false,
            () = tokio::time::sleep(EVERY) => {}
        }
        // Only this is asked again and again, since a whole server takes threads that stay until the process ends.
        match FeatureServer::open(engine, 0.0).await {
            Err(error) if error.code() == IN_USE => {}
            _ => return true,
        }
    }
}

fn is_in_use(error: &CliError) -> bool {
    matches!(error, CliError::Engine(error) if error.code() == IN_USE)
}
