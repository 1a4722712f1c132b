//! What the schedule's endpoints ask of the rest of Millstream.

use async_trait::async_trait;
use millstream_api::{
    failures::{ConnectionsAnswer, RepairsAnswer, ResumeAnswer, SlaAnswer},
    schedule::{ScheduleAnswer, TriggerAnswer},
};

use crate::{WebhookSecret, error::ApiError};

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
    /// runs the project, or the state store did not take the call in time.
    async fn trigger(&self, name: &str) -> Result<TriggerAnswer, ApiError>;

    /// The secret with which calls of the webhook are signed; `None` where it has none, or there is no such webhook.
    fn webhook_secret(&self, name: &str) -> Option<WebhookSecret>;

    /// The places that steps ask, with their circuits and the retries of the last hour.
    async fn connections(&self) -> Result<ConnectionsAnswer, ApiError>;

    /// Lets an asset that was set aside run by itself again. Once this returns, no crash loses it.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownAsset`] when there is no asset of this name.
    async fn resume(&self, asset: &str) -> Result<ResumeAnswer, ApiError>;

    /// What was found damaged or lost and what was done about it, the newest first, at most `limit`.
    async fn repairs(&self, limit: usize) -> Result<RepairsAnswer, ApiError>;

    /// What is promised of all assets, or of one, with the last `days` days.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownAsset`] when there is no asset of this name.
    async fn promises(&self, asset: Option<&str>, days: u32) -> Result<SlaAnswer, ApiError>;
}
