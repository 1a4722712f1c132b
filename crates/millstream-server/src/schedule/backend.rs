//! What the schedule's endpoints ask of the rest of Millstream.

use async_trait::async_trait;
use millstream_api::schedule::{ScheduleAnswer, TriggerAnswer};

use crate::error::ApiError;

/// Assets that run by themselves.
#[async_trait]
pub trait ScheduleBackend: Send + Sync + 'static {
    /// At most `limit` instants to come, and at most `limit` of the newest decisions.
    async fn schedule(&self, limit: usize) -> Result<ScheduleAnswer, ApiError>;

    /// Calls the webhook of this name. Once this returns, no crash loses the call.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownTrigger`] when no asset waits for it; [`crate::ErrorKind::Unavailable`] when another server
    /// runs the project.
    async fn trigger(&self, name: &str) -> Result<TriggerAnswer, ApiError>;
}
