//! How the process ends.

use std::process::ExitCode;

/// The exit code's meaning; the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well; rejected rows alone are no failure.
    Success,
    /// The data or a step failed.
    Failure,
    /// The project or the call is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
        })
    }
}
