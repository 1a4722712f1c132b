//! A webhook of which more is said than that assets wait for it.

use millstream_types::Secret;

use crate::Location;

/// How a webhook is called.
#[derive(Clone, Debug)]
pub struct WebhookSpec {
    /// The place of the webhook's name.
    pub at: Location,
    /// The secret with which callers sign what they send.
    pub secret: Secret,
}
