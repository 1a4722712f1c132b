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

/// Opens what the server serves, once its online store is free. The files of the engine's project were read from `read_at` on.
pub(crate) async fn open(
    engine: &Engine,
    read_at: TimestampMicros,
    loader: &Loader,
    sample: Percent,
    session: &Session,
) -> Result<Backend, CliError> {
    loop {
        match Backend::open(engine.clone(), read_at, loader.clone(), sample).await {
            Err(error) if is_in_use(&error) => wait(engine, error, session).await?,
            opened => return opened,
        }
    }
}

/// Waits until the store is free. Told to end, it gives the error of the attempt before.
async fn wait(engine: &Engine, in_use: CliError, session: &Session) -> Result<(), CliError> {
    let because = in_use.report().causes.join(": ");
    match session.settings.json {
        true => tracing::warn!("{because}; this server stands by until that ends"),
        false => tell(&format!("{} {because}; this server stands by until that ends", styled(CAUTION, '!'))),
    }
    loop {
        tokio::select! {
            () = session.cancel.cancelled() => return Err(in_use),
            () = tokio::time::sleep(EVERY) => {}
        }
        // Only this is asked again and again, since a whole server takes threads that stay until the process ends.
        match FeatureServer::open(engine, 0.0).await {
            Err(error) if error.code() == IN_USE => {}
            _ => return Ok(()),
        }
    }
}

fn is_in_use(error: &CliError) -> bool {
    matches!(error, CliError::Engine(error) if error.code() == IN_USE)
}
