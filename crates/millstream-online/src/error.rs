//! Why the online store could not do what it was asked, in words a caller can act on.

/// The cause below an [`OnlineError`], whatever library it came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What kind of fault a store answered with; decides the hint and whether another try may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No room is left, on disk or in the memory that the server may use.
    Full,
    /// The store refuses these credentials, or the folder is read-only.
    Permission,
    /// The network or the server failed, or it is still loading its data; the same call may succeed later.
    Unavailable,
    /// Anything else.
    Other,
}

/// A fault of the online store. `Display` says what happened; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnlineError {
    /// The store's address or its options cannot work.
    #[error("`{location}` cannot be opened as an online store: {reason}")]
    Location { location: String, reason: String },
    /// Another process has the embedded store open.
    #[error("the online store `{location}` is in use by another process{}", numbered(*pid))]
    Locked {
        location: String,
        /// The number of the process, where it is known.
        pid: Option<u32>,
    },
    /// What is stored cannot be understood.
    #[error("the online store `{location}` is damaged: {reason}")]
    Damaged {
        location: String,
        reason: String,
        #[source]
        source: Option<Cause>,
    },
    /// The store was written by a version of Millstream with another format.
    #[error("the online store `{location}` has format {found}, this version reads format {readable}")]
    Format { location: String, found: String, readable: u8 },
    /// A read or a write of the store failed.
    #[error("the online store cannot {action}")]
    Storage {
        action: &'static str,
        fault: Fault,
        #[source]
        source: Cause,
    },
    /// No answer came in time, and nothing was changed.
    #[error("the online store did not {action} in time")]
    Timeout { action: &'static str },
    /// The store broke off while a change was being stored, and a part of it may be there.
    #[error("it is unknown whether the online store did {action}")]
    OutcomeUnknown {
        action: &'static str,
        #[source]
        source: Cause,
    },
    /// Other callers changed the same record during each of the attempts.
    #[error("a record was changed by others at each of {attempts} attempts")]
    Contended { attempts: usize },
    /// The change is stored, but fewer replicas than asked for have confirmed it.
    #[error("{found} of {wanted} replicas confirmed a change in time")]
    Replicas { wanted: u32, found: u32 },
    /// The arguments of the call are not valid, such as an empty key or an entity that is named twice.
    #[error("the request to the online store is not valid: {reason}")]
    Request { reason: String },
    /// The caller's own function could not work out a record's new bytes; nothing of the update was stored.
    #[error("a record cannot be changed")]
    Change {
        #[source]
        source: Cause,
    },
    /// The store takes no more changes after one that failed, whose error was logged, until it could be opened anew.
    #[error("the online store no longer takes changes")]
    Stopped,
}

pub(crate) type Result<T, E = OnlineError> = std::result::Result<T, E>;

/// ` (pid 4711)`, or nothing where the number of the process is not known.
fn numbered(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl OnlineError {
    /// An error of the function that works out a record's new bytes.
    #[must_use]
    pub fn change(source: impl Into<Cause>) -> Self {
        Self::Change { source: source.into() }
    }

    /// Stable code for people and for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Location { .. } => "MS-1001",
            Self::Locked { .. } => "MS-1002",
            Self::Damaged { .. } => "MS-1003",
            Self::Format { .. } => "MS-1004",
            Self::Storage { fault: Fault::Full, .. } => "MS-1006",
            Self::Storage { fault: Fault::Permission, .. } => "MS-1007",
            Self::Storage { fault: Fault::Unavailable, .. } => "MS-1008",
            Self::Storage { .. } => "MS-1005",
            Self::Timeout { .. } => "MS-1009",
            Self::OutcomeUnknown { .. } => "MS-1010",
            Self::Contended { .. } => "MS-1011",
            Self::Replicas { .. } => "MS-1012",
            Self::Request { .. } => "MS-1013",
            Self::Change { .. } => "MS-1014",
            Self::Stopped => "MS-1015",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Location { .. } => {
                "use `embedded:<folder>` or `redis://[:password@]host[:port][/database]`"
            }
            Self::Locked { .. } => {
                "one process at a time opens an embedded store: stop that process, or let it do the work; a running \
                 `millstream serve` materialises on `POST /v1/features/materialize`"
            }
            Self::Damaged { .. } => {
                "remove it, but not the file beside it that ends with `.pushed`, and run `millstream features \
                 materialize`: its values come from the lake, and pushed rows from that file"
            }
            Self::Format { .. } => "use the version that wrote it, or remove it and materialise again",
            Self::Storage { fault: Fault::Full, .. } => "free some space: it goes on by itself",
            Self::Storage { fault: Fault::Permission, .. } => {
                "check the folder's rights, or the server's password and access rules"
            }
            Self::Storage { fault: Fault::Unavailable, .. } | Self::Timeout { .. } => {
                "check the network and that the server runs, then try again"
            }
            Self::OutcomeUnknown { .. } => "materialise the view again: that gives the exact state",
            Self::Contended { .. } => "try again, or send the changes of one entity together",
            Self::Replicas { .. } => "check the replicas, or ask for fewer confirmations",
            Self::Stopped => "free some space: it takes changes again by itself; what was acknowledged is stored",
            Self::Storage { .. } | Self::Request { .. } | Self::Change { .. } => return None,
        };
        Some(hint.into())
    }

    /// Whether the error concerns only the records of the call, so that calls for other records may succeed.
    #[must_use]
    pub fn is_of_record(&self) -> bool {
        matches!(self, Self::Request { .. } | Self::Change { .. } | Self::Contended { .. })
    }

    /// Whether the same call may succeed later, with no danger of doing its work twice.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Contended { .. } | Self::Locked { .. } => true,
            Self::Storage { fault, .. } => *fault == Fault::Unavailable,
            _ => false,
        }
    }
}
