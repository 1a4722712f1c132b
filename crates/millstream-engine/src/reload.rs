//! What `status` says of a server that could not load its project again.
//!
//! The record is bound to a lease of a name that is no asset, so that it ends with the server however that ends, and no server
//! takes back what another one said.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use millstream_state::FailedReload;
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError, lease::Lease};

/// The command under which the lease is held.
const COMMAND: &str = "serve";

/// The beginning of the name that is leased.
const LEASED: &str = "reload ";

/// The lease of the server's last attempt to load its project again, if that failed.
pub(crate) type FailedReloadLease = tokio::sync::Mutex<Option<Arc<Lease>>>;

impl Engine {
    /// Records for [`Self::status`] how this server failed to load the project again, or that nothing is wrong with it any more.
    pub fn record_reload<'a>(
        &'a self,
        failed: Option<&'a FailedReload>,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let mut held = world.failed_reload.lock().await;
            let before = held.take();
            let Some(failed) = failed else {
                let forgotten = world.state.forget_failed_reload(before.as_ref().map(|lease| lease.token));
                let forgotten = forgotten.await;
                if let Some(lease) = before {
                    lease.end().await;
                }
                return Ok(forgotten?);
            };
            let lease = match before.filter(|lease| !lease.cancel.is_cancelled()) {
                Some(lease) => lease,
                None => self.lease_for_reload().await?,
            };
            world.state.record_failed_reload(lease.token, failed).await?;
            *held = Some(lease);
            Ok(())
        })
    }

    async fn lease_for_reload(&self) -> Result<Arc<Lease>, EngineError> {
        let leased = [AssetId::from(format!("{LEASED}{}", uuid::Uuid::now_v7()))];
        let (events, cancel) = (self.begin(COMMAND), CancellationToken::new());
        self.world().lease(COMMAND, &leased, Duration::ZERO, &events, &cancel).await
    }
}
