//! The online store of the environment.

use std::sync::Arc;

use millstream_online::{OnlineStore, StoreOptions};
use millstream_project::OnlineLocation;

use crate::{EngineError, engine::World};

/// Opens the environment's online store. An embedded store is one process's alone.
pub(crate) async fn open_store(world: &World) -> Result<Arc<dyn OnlineStore>, EngineError> {
    let location = match &world.project.spec.environment.online {
        OnlineLocation::Embedded(folder) => format!("embedded:{}", folder.display()),
        OnlineLocation::Redis(url) => url.clone(),
    };
    let mut options = StoreOptions::default();
    // Several projects, and several environments of one, may share a server.
    let spec = &world.project.spec;
    options.redis.prefix = format!("millstream:{}:{}", spec.name, spec.environment.name);
    Ok(millstream_online::open(&location, &options).await?)
}
