//! The process's way to its online store, which all who read and take features share: a project that is loaded again has
//! other views, and the same pushes are under way.

use std::sync::{Arc, PoisonError};

use millstream_online::{OnlineStore, feature::Pushes};

use super::served::ServedLog;
use crate::{EngineError, process::Process};

/// The open online store, with the pushes that are under way and the log of served values.
#[derive(Debug)]
pub(crate) struct OnlineAccess {
    pub(crate) store: Arc<dyn OnlineStore>,
    pub(super) pushes: Pushes,
    pub(super) served: ServedLog,
}

impl OnlineAccess {
    /// The access that the process has, or else a new one; and whether it is new.
    pub(super) async fn of(process: &Arc<Process>) -> Result<(Arc<Self>, bool), EngineError> {
        let store = process.open_online().await?;
        let mut known = process.access.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(access) = known.upgrade() {
            return Ok((access, false));
        }
        let (pushes, served) = (Pushes::new(store.clone()), ServedLog::start(process.clone()));
        let access = Arc::new(Self { store, pushes, served });
        *known = Arc::downgrade(&access);
        Ok((access, true))
    }
}
