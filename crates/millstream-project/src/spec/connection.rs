//! A named way into an outside system.

use std::{fmt, num::NonZeroUsize};

use millstream_schedule::CircuitPolicy;

use crate::{HiddenValues, Located, Location, Node};

/// One file of `connections/`.
#[derive(Clone)]
pub struct ConnectionSpec {
    pub name: String,
    /// The start of the file, for messages about the connection as a whole.
    pub at: Location,
    pub description: Option<String>,
    /// How many steps read through the connection at once; no more than run at all where it says nothing.
    pub concurrency: Option<NonZeroUsize>,
    /// How many attempts of steps that read through the connection may follow on failed ones within an hour; without it, only
    /// the project's budget counts.
    pub retry_budget: Option<u32>,
    /// When the connection's circuit opens, and for how long; `None` where its place is always asked.
    pub circuit: Option<CircuitPolicy>,
    /// The kind of connector that makes something of the connection.
    pub kind: Located<String>,
    /// The mapping without `type`, `description`, `concurrency`, `retry_budget` and `circuit`, variables and files substituted,
    /// with the place of every value. The connector's own factory checks it.
    pub options: Node,
    /// Whether a faulty option was reported and left out, so that a missing one may be just that.
    pub has_gap: bool,
    /// The credentials among the options, which no fingerprint may hold.
    pub secrets: HiddenValues,
}

/// Leaves out the options, which hold credentials.
impl fmt::Debug for ConnectionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSpec")
            .field("name", &self.name)
            .field("kind", &self.kind.value)
            .finish_non_exhaustive()
    }
}
