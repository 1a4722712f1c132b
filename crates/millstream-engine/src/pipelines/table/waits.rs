//! Whether events wait for a continuous table that no pipeline keeps up to date.

use std::sync::Arc;

use millstream_log::LogError;
use millstream_types::TableName;

use super::{Offsets, flow_of};
use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed},
    engine::World,
};

/// The events that a run would take in, in words; `None` where there are none. A log that another process has open is that process's matter, and so are the tables
/// that follow it.
pub(crate) async fn waits(world: &Arc<World>, table: &TableName) -> Result<Option<String>, EngineError> {
    if world.log.is_absent() {
        return Ok(None);
    }
    match waiting(world, table).await {
        Ok(0) | Err(EngineError::Log(LogError::Locked { .. })) => Ok(None),
        Ok(1) => Ok(Some("1 event".to_owned())),
        Ok(count) => Ok(Some(format!("{count} events"))),
        Err(error) => Err(error),
    }
}

/// How many events came since the table's last commit.
async fn waiting(world: &Arc<World>, table: &TableName) -> Result<u64, EngineError> {
    world.log.open().await?;
    let flow = flow_of(world, table)?;
    let taken = match committed(world, table).await? {
        Some(taken) => taken,
        None => flow.begin().await?,
    };
    let feed = flow.feed(&taken).await?;
    Ok(feed.behind(&taken).await?.rows)
}

/// The offsets that the newest commit of the table's pipeline says it has reached.
async fn committed(world: &World, table: &TableName) -> Result<Option<Offsets>, EngineError> {
    let Some(_) = world.lake.probe(table, None).await? else { return Ok(None) };
    let commits = world.lake.history(table, None).await?;
    let offsets = commits.iter().find_map(|commit| match CommitInfo::from_json(&commit.info)?.what {
        Committed::Pipeline { offsets, .. } => Some(offsets),
        _ => None,
    });
    Ok(offsets)
}
