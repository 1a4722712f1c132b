//! Where every room's error becomes a code, a message, its causes and a hint.

use std::{error::Error, io, path::PathBuf};

use millstream_demo::DemoError;
use millstream_engine::{Checked, EngineError, EventFault, HOUSEKEEPING, IntakeError};
use millstream_log::LogError;
use millstream_project::cover;
use millstream_server::ServerError;
use millstream_sql::SqlError;
use millstream_state::StateError;

use crate::{Exit, codes, project::nearest, serve::KEEPING};

/// A fault that ends a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("no `millstream.yaml` in `{}` or a folder above it", start.display())]
    NoProject { start: PathBuf },
    #[error("no folder `{}`", path.display())]
    NoFolder { path: PathBuf },
    #[error("`{}` already exists and is not empty", path.display())]
    NotEmpty { path: PathBuf },
    #[error("`{}` already exists; nothing was written", path.display())]
    Exists { path: PathBuf },
    #[error("cannot {verb} `{}`", path.display())]
    File {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no template named `{name}`")]
    UnknownTemplate { name: String, nearest: Option<&'static str> },
    #[error("no {what} named `{name}`")]
    Unknown { what: &'static str, name: String, hint: String },
    #[error("{message}")]
    Call { message: String, hint: Option<String> },
    #[error("the result cannot be written")]
    Output(#[source] io::Error),
    #[error("the result cannot be formatted")]
    Format(#[source] Box<dyn Error + Send + Sync>),
    /// A statement that a query cannot run.
    #[error("the query cannot be answered")]
    Statement {
        sql: String,
        #[source]
        source: Box<SqlError>,
    },
    /// The errors of the project are shown as its diagnostics, not as this error.
    #[error("the project has errors")]
    Project(Box<Checked>),
    #[error(transparent)]
    Engine(Box<EngineError>),
    #[error(transparent)]
    Server(ServerError),
    /// Events that were not taken in.
    #[error("{source}{}", place(before.as_ref()))]
    Intake { source: Box<IntakeError>, before: Option<EventsBefore> },
    /// A server that events were sent to did not take them.
    #[error("{message}{}", place(before.as_ref()))]
    Refused { message: String, hint: Option<String>, rows: Vec<EventFault>, before: Option<EventsBefore> },
}

/// What was taken in before the events of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsBefore {
    pub events: u64,
    /// The byte of the input at which the batch of the error begins.
    pub bytes: u64,
}

/// Where a batch stands in its input, if it is not the first one.
fn place(before: Option<&EventsBefore>) -> String {
    match before {
        Some(EventsBefore { events, bytes }) if *bytes > 0 => {
            format!(
                "; it is of the batch from byte {bytes} on, and the {events} events before that are in the log"
            )
        }
        _ => String::new(),
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        let message = error.to_string();
        match error {
            DemoError::File { verb, path, source } => Self::File { verb, path, source },
            DemoError::Parquet { path, source } => {
                Self::File { verb: "write", path, source: io::Error::other(source) }
            }
            DemoError::Worker => Self::call(message, None),
        }
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// What is said about an error, the same for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    pub code: &'static str,
    pub message: String,
    /// Causes from the nearest to the deepest.
    pub causes: Vec<String>,
    pub hint: Option<String>,
    pub exit: Exit,
}

impl CliError {
    /// Turns the fault of a file on this machine into an error; `verb` says what was tried.
    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }

    pub(crate) fn call(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Call { message: message.into(), hint: hint.into() }
    }

    /// The error of a name that is none of `known`; the hint says which of them was probably meant, or lists them.
    pub(crate) fn unknown(what: &'static str, name: &str, known: &[&str]) -> Self {
        Self::Unknown { what, name: name.to_owned(), hint: meant(name, known) }
    }

    /// Whether the reader of standard output went away (`millstream query … | head`), which is no fault.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    pub(crate) fn intake(error: IntakeError) -> Self {
        Self::Intake { source: Box::new(error), before: None }
    }

    /// The same error with what was taken in before it.
    pub(crate) fn after(mut self, events: u64, bytes: u64) -> Self {
        if let Self::Intake { before, .. } | Self::Refused { before, .. } = &mut self {
            *before = Some(EventsBefore { events, bytes });
        }
        self
    }

    fn state_error(&self) -> Option<&StateError> {
        match self {
            Self::Engine(error) => match error.as_ref() {
                EngineError::State(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    #[must_use]
    pub fn report(&self) -> ErrorReport {
        let (code, hint, exit) = match self {
            Self::NoProject { .. } => (
                codes::NO_PROJECT,
                Some("start one with `millstream init`, or name its folder with `--project DIR`".to_owned()),
                Exit::Usage,
            ),
            Self::NoFolder { .. } => (codes::NO_PROJECT, None, Exit::Usage),
            Self::NotEmpty { .. } | Self::Exists { .. } => {
                (codes::NO_OVERWRITE, Some("name another folder with `--path DIR`".to_owned()), Exit::Usage)
            }
            Self::File { .. } => (codes::FILE, None, Exit::Failure),
            Self::UnknownTemplate { nearest, .. } => {
                let known = crate::templates::names();
                (
                    codes::UNKNOWN_TEMPLATE,
                    Some(suggestion(
                        *nearest,
                        &format!("templates are {known}; a folder is named with `--path DIR`"),
                    )),
                    Exit::Usage,
                )
            }
            Self::Unknown { hint, .. } => (codes::UNKNOWN_NAME, Some(hint.clone()), Exit::Usage),
            Self::Call { hint, .. } => (codes::CALL, hint.clone(), Exit::Usage),
            Self::Output(_) => (codes::OUTPUT, None, Exit::Failure),
            Self::Format(_) => (
                codes::FORMAT,
                Some("cast the value in the query, or choose another `--format`".to_owned()),
                Exit::Failure,
            ),
            Self::Project(_) => {
                (codes::PROJECT, Some("`millstream check` shows them".to_owned()), Exit::Usage)
            }
            Self::Statement { source, .. } => {
                let exit = match source.as_ref() {
                    SqlError::Invalid { .. } => Exit::Usage,
                    _ => Exit::Failure,
                };
                (source.code(), source.hint(), exit)
            }
            Self::Engine(error) => (error.code(), error.hint(), engine_exit(error)),
            Self::Server(error) => (error.code(), error.hint(), server_exit(error)),
            Self::Intake { source, .. } => (source.code(), intake_hint(source), intake_exit(source)),
            Self::Refused { hint, .. } => (codes::REFUSED, hint.clone(), Exit::Failure),
        };
        if let Some(locked @ StateError::Locked { holder, .. }) = self.state_error() {
            // That another run is under way is no failure of the store, and needs no chain of causes.
            let message = locked.to_string();
            let hint = Some(way_around(&holder.command).to_owned());
            return ErrorReport { code, message, causes: Vec::new(), hint, exit };
        }
        let (message, mut causes) = message_chain(self);
        if let Self::Intake { source, before } = self {
            causes = message_chain(source.as_ref()).1;
            causes.extend(source.faults().iter().map(|fault| row(fault, before.as_ref())));
        }
        if let Self::Refused { rows, before, .. } = self {
            causes.extend(rows.iter().map(|fault| row(fault, before.as_ref())));
        }
        ErrorReport { code, message, causes, hint, exit }
    }
}

/// What to do while `command` holds what is wanted. The process of a server's work is the server itself, and need not end with it.
fn way_around(command: &str) -> &'static str {
    if command == KEEPING {
        return "wait for it with `--wait`: a running `millstream serve` brings its views up to date, and need not be stopped";
    }
    if command == HOUSEKEEPING {
        return "wait for it with `--wait`: a running `millstream serve` tidies up, and is done with each table within moments";
    }
    if command.starts_with("serve: ") {
        return "wait for it with `--wait`: a running `millstream serve` leaves the next turn to whoever waits";
    }
    if command.starts_with("POST ") {
        return "wait for it with `--wait`, or end the server's job: `DELETE /v1/jobs/{id}`";
    }
    "wait for it with `--wait`, or stop it; a run that a server was asked for ends by `DELETE /v1/jobs/{id}`"
}

/// A call that names what does not exist is wrong; everything else is a failure of data or machine.
fn engine_exit(error: &EngineError) -> Exit {
    match error {
        EngineError::UnknownAsset { .. }
        | EngineError::Plan(_)
        | EngineError::UnknownFeature { .. }
        | EngineError::Partitions { .. }
        | EngineError::UnknownBackfill { .. }
        | EngineError::Request { .. } => Exit::Usage,
        _ => Exit::Failure,
    }
}

/// What to do when events are not taken in. The process that has the log open is the one to send them to.
fn intake_hint(error: &IntakeError) -> Option<String> {
    match error {
        IntakeError::Log { source: LogError::Locked { .. }, .. } => Some(
            "if that is `millstream serve`, send it the events: `--server http://127.0.0.1:6566`, or where it listens"
                .to_owned(),
        ),
        error => error.hint(),
    }
}

fn intake_exit(error: &IntakeError) -> Exit {
    match error {
        IntakeError::UnknownSource { .. } | IntakeError::NotTaking { .. } => Exit::Usage,
        _ => Exit::Failure,
    }
}

/// An event that cannot be taken, by its place in the input.
fn row(fault: &EventFault, before: Option<&EventsBefore>) -> String {
    let (events, bytes) = before.map_or((0, 0), |before| (before.events, before.bytes));
    let offset = fault.offset.map(|offset| format!(" (byte {})", offset + bytes)).unwrap_or_default();
    format!("event {}{offset}: {}", fault.index + events + 1, fault.reason)
}

/// A server that may not be started like this is a wrong call.
fn server_exit(error: &ServerError) -> Exit {
    match error {
        ServerError::TokenNeeded { .. }
        | ServerError::WeakToken { .. }
        | ServerError::TwoTokens { .. }
        | ServerError::Tls(_) => Exit::Usage,
        _ => Exit::Failure,
    }
}

/// Names that a hint lists when none is near.
const LISTED_MAX: usize = 12;

/// `did you mean …?` for the nearest name or those that contain what was written, or else the names that there are.
fn meant(name: &str, known: &[&str]) -> String {
    if let Some(nearest) = nearest(name, known.iter().copied()) {
        return format!("did you mean `{nearest}`?");
    }
    let lower = name.to_lowercase();
    let alike: Vec<&str> = known.iter().copied().filter(|known| known.contains(lower.as_str())).collect();
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    match (alike.len(), known.len()) {
        (_, 0) => "the project has none yet".to_owned(),
        (1..=LISTED_MAX, _) => format!("did you mean {}?", quoted(&alike).join(" or ")),
        (_, all) => {
            let more = all.saturating_sub(LISTED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("there are {}{more}", quoted(&known[..all.min(LISTED_MAX)]).join(", "))
        }
    }
}

fn suggestion(nearest: Option<&str>, otherwise: &str) -> String {
    nearest.map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`?"))
}

/// The message and its causes. A cause that an outer message already tells is left out.
pub(crate) fn message_chain(error: &(dyn Error + 'static)) -> (String, Vec<String>) {
    let message = one_line(&error.to_string());
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = one_line(&cause.to_string());
        let before = causes.last().unwrap_or(&message);
        // SQLite's deepest cause has the error's number and repeats the message before it.
        let told = before.ends_with(text.as_str())
            || (text.starts_with("Error code ") && text.ends_with(before.as_str()));
        if !text.is_empty() && !told {
            causes.push(text);
        }
        next = cause.source();
    }
    (message, causes)
}

/// Libraries put line breaks and tabs into messages, and now and then a URL with its password; a report has one line
/// per cause, and no secrets.
fn one_line(text: &str) -> String {
    cover(&text.split_whitespace().collect::<Vec<_>>().join(" ")).text.into_owned()
}
