//! `millstream health`: whether a server of this machine is alive, or may be asked.

use std::time::Duration;

use millstream_server::probe;
use millstream_types::Span;
use serde_json::json;

use crate::{
    CliError, Exit,
    address::Address,
    output::{self, BAD, GOOD, styled},
    session::Session,
};

/// Ask a running server whether it is alive, as a container's health check does
///
/// Needs no project and no token. Exits with 0 when the server answers well, and with 1 when it does not.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Where the server listens
    #[arg(long, default_value_t, value_name = "ADDRESS")]
    pub(crate) address: Address,
    /// Ask whether it can be asked for features too (`/ready`), instead of whether it is alive (`/health`)
    #[arg(long)]
    pub(crate) ready: bool,
    /// The server speaks TLS; its certificate is not judged
    #[arg(long)]
    pub(crate) tls: bool,
    /// How long to wait for its answer
    #[arg(long, value_name = "SPAN", default_value = "4s")]
    pub(crate) timeout: Span,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let address = arguments.address.resolve()?;
    let path = if arguments.ready { "/ready" } else { "/health" };
    let most: Duration = arguments.timeout.as_std();
    let probed = probe(address, path, arguments.tls, most).await;
    let (is_well, said) = match &probed {
        Ok(probed) if probed.status == 200 => (true, format!("{address} answers {path} with 200")),
        Ok(probed) => {
            let body = probed.body.trim();
            (false, format!("{address} answers {path} with {} {body}", probed.status).trim().to_owned())
        }
        Err(error) => (false, format!("{address} does not answer {path}: {error}")),
    };
    if session.settings.json {
        let status = probed.as_ref().ok().map(|probed| probed.status);
        output::print_json(&json!({"healthy": is_well, "status": status, "message": said}))?;
    } else {
        let mark = if is_well { styled(GOOD, '✓') } else { styled(BAD, '✗') };
        output::print_line(&format!("{mark} {said}"))?;
    }
    Ok(if is_well { Exit::Success } else { Exit::Failure })
}
