//! What PostgreSQL, or the way to it, refused.

use std::{error::Error, fmt, io};

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

/// Why a statement was not done. Displayed, it is the server's own words where the server said some; the address is
/// never part of it, because it may hold a password.
#[derive(Debug)]
pub struct PostgresFault {
    message: String,
    state: Option<SqlState>,
    is_connection: bool,
    /// Whether the server was reached before the fault.
    was_reached: bool,
}

impl PostgresFault {
    /// Whether the same statement may succeed a little later: the server starts, stops, has no room for another
    /// connection, or gave way to another transaction.
    pub(crate) fn is_transient(&self) -> bool {
        match &self.state {
            Some(state) => {
                state.code().starts_with("08")
                    || [
                        SqlState::ADMIN_SHUTDOWN,
                        SqlState::CRASH_SHUTDOWN,
                        SqlState::CANNOT_CONNECT_NOW,
                        SqlState::TOO_MANY_CONNECTIONS,
                        SqlState::LOCK_NOT_AVAILABLE,
                        SqlState::T_R_SERIALIZATION_FAILURE,
                        SqlState::T_R_DEADLOCK_DETECTED,
                        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                        SqlState::IDLE_SESSION_TIMEOUT,
                        SqlState::QUERY_CANCELED,
                    ]
                    .contains(state)
            }
            None => self.is_connection,
        }
    }

    /// Whether the server was reached: it said so itself, or went away afterwards.
    pub(super) fn was_reached(&self) -> bool {
        self.was_reached
    }

    /// Whether nobody can tell from the answer if the statement was done.
    pub(crate) fn is_lost(&self) -> bool {
        match &self.state {
            Some(state) => {
                state.code().starts_with("08")
                    || [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::IDLE_SESSION_TIMEOUT]
                        .contains(state)
            }
            None => self.is_connection,
        }
    }

    /// Whether this user may not execute the statement.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(
            &self.state,
            Some(state) if [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(state)
        )
    }

    pub(super) fn connection(message: impl Into<String>) -> Self {
        Self { message: message.into(), state: None, is_connection: true, was_reached: false }
    }

    pub(super) fn refusal(message: impl Into<String>) -> Self {
        Self { message: message.into(), state: None, is_connection: false, was_reached: false }
    }
}

impl fmt::Display for PostgresFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PostgresFault {}

impl From<tokio_postgres::Error> for PostgresFault {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self {
                message: words(said),
                state: Some(said.code().clone()),
                is_connection: false,
                was_reached: true,
            };
        }
        let mut message = error.to_string();
        let mut causes = error.source();
        let mut is_connection = error.is_closed();
        while let Some(cause) = causes {
            message = format!("{message}: {cause}");
            is_connection |= cause.is::<io::Error>();
            causes = cause.source();
        }
        Self { message, state: None, is_connection, was_reached: error.is_closed() }
    }
}

impl From<PoolError> for PostgresFault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::connection("no connection within the time that is given"),
            other => Self::refusal(other.to_string()),
        }
    }
}

fn words(said: &DbError) -> String {
    match said.detail() {
        Some(detail) => format!("{} ({detail})", said.message()),
        None => said.message().to_owned(),
    }
}
