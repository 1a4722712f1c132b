//! An embedded online store that is damaged is put away, and a new one takes its place: what it held comes from the lake, and pushed
//! rows from the file beside it. Nothing of the damaged one is deleted.

use std::sync::Arc;

use millstream_online::{OnlineError, OnlineStore};
use millstream_state::{NewRepair, RepairAction, RepairState};
use millstream_types::{AssetId, TimestampMicros};

use super::{DAY, REPAIRS_MAX};
use crate::{EngineError, Event, error::told, process::Process};

/// The name under which repairs of the store are on record. It is no asset.
const ONLINE: &str = "online";

impl Process {
    /// Opens the online store for work, in the place of one that is damaged if need be.
    pub(crate) async fn open_online(&self) -> Result<Arc<dyn OnlineStore>, EngineError> {
        match self.online.open().await {
            Err(EngineError::Online(damaged @ OnlineError::Damaged { .. })) if self.online.is_embedded() => {
                self.replace_online(damaged).await
            }
            opened => opened,
        }
    }

    async fn replace_online(&self, damaged: OnlineError) -> Result<Arc<dyn OnlineStore>, EngineError> {
        let (asset, now) = (AssetId::new(ONLINE), self.options.clock.now());
        let since = TimestampMicros(now.0.saturating_sub(DAY));
        if self.state.repairs_since(&asset, since).await? >= REPAIRS_MAX {
            return Err(damaged.into());
        }
        let (code, cause) = (damaged.code().to_owned(), told(&damaged));
        let Some((store, put_away)) = self.online.replace(now).await? else {
            // Another process has replaced it meanwhile.
            return self.online.open().await;
        };
        let cause = format!("{cause}; it lies in `{}` now", put_away.display());
        let message =
            format!("{cause}; a new one takes its place, and the feature views are materialised again");
        let action = RepairAction::Replace;
        let repair = NewRepair { asset, code, cause, action, found: now, state: RepairState::Repaired };
        self.state.begin_repair(&repair).await?;
        tracing::warn!("{message}");
        self.events.begin("repair").publish(Event::Alarm {
            about: ONLINE.to_owned(),
            message,
            is_over: true,
        });
        Ok(store)
    }
}
