//! The command line: arguments, one file per command, progress, and how results look.
//!
//! May touch: the terminal, the project folder that `init` and `demo` create, and the engine's public API.
//! Must not: name a connector (the binary passes them in), decide what runs, or read and write the lake
//! except through the engine. What `--json` prints are structs of [`millstream_api`] and of [`mod@wire`], so that a change
//! inside another room cannot silently change a public format.

mod address;
mod arguments;
mod codes;
mod commands;
pub mod diagnostics;
mod error;
mod exit;
pub mod human;
mod log;
mod output;
mod progress;
mod project;
mod runs;
mod serve;
mod session;
mod settings;
mod show;
mod standing;
mod templates;
mod usage;
pub mod wire;

use std::ffi::OsString;

use clap::Parser;
use futures::future::LocalBoxFuture;
use millstream_connector::ConnectorFactory;
use tokio_util::sync::CancellationToken;

use crate::{arguments::Arguments, session::Session, settings::Settings};

pub use address::Address;
pub use codes::{CODES, Code};
pub use error::{CliError, ErrorReport};
pub use exit::Exit;
pub use show::table::table_within;

/// A command line that was understood and whose settings are resolved.
#[derive(Debug)]
pub struct Invocation {
    arguments: Arguments,
    settings: Settings,
}

/// Understands the command line. The error is the exit after help, the version or the fault was printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Exit> {
    let typed: Vec<OsString> = arguments.into_iter().collect();
    let line = settings::typed_line(&typed);
    let arguments =
        Arguments::try_parse_from(&typed).map_err(|error| usage::tell(&usage::advised(error), &typed))?;
    let is_server = matches!(arguments.command, arguments::Command::Serve(_));
    let settings = Settings::resolve(&arguments.global, line, is_server);
    Ok(Invocation { arguments, settings })
}

/// Runs the command to its end. `cancel` asks it to stop cleanly.
pub fn run(
    invocation: Invocation,
    connectors: Vec<Box<dyn ConnectorFactory>>,
    cancel: CancellationToken,
) -> LocalBoxFuture<'static, Exit> {
    Box::pin(async move {
        let Invocation { arguments, settings } = invocation;
        settings.start_logging();
        let session = Session::new(settings, connectors, cancel);
        match commands::run(&arguments.command, &session).await {
            Ok(exit) => exit,
            Err(error) => session.fail(&error),
        }
    })
}

/// Says that the process could not start its threads.
pub fn cannot_start(error: &std::io::Error) -> Exit {
    output::tell(&format!("the process cannot start its threads: {error}"));
    Exit::Failure
}

/// Says that Ctrl-C was heard.
pub fn tell_stopping() {
    output::tell("stopping cleanly; press Ctrl-C again to stop at once");
}
