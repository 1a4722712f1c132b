//! How far the sources of events are: what their logs hold, and what of it has landed.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use millstream_connector::Intake;
use millstream_log::{EventLog, Lag, LogError, Place, TopicName};
use millstream_types::{SourceName, TimestampMicros};

use crate::{Engine, EngineError};

/// A source of events, all of its partitions together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeStatus {
    pub source: SourceName,
    /// The events that ever came.
    pub events: u64,
    /// The events that have not landed yet.
    pub lag_events: u64,
    /// When the oldest of them came; `None` while all have landed.
    pub lag_since: Option<TimestampMicros>,
    /// What the log holds of the source on disk.
    pub bytes: u64,
    /// The offsets that cannot be read, in words; `None` while all can.
    pub damage: Option<String>,
}

impl Engine {
    /// How far each source of events is; nothing where this process does not have the event log open.
    pub fn intakes(&self) -> BoxFuture<'_, Result<Vec<IntakeStatus>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let Some(log) = world.log.peek().await else { return Ok(Vec::new()) };
            let mut found = Vec::new();
            for source in &world.project.spec.sources {
                if world.intake(&source.name).is_none() {
                    continue;
                }
                let landing = world.state.landing(&source.name).await?;
                let landed: BTreeMap<_, _> =
                    landing.parts.into_iter().map(|part| (part.id, part.position)).collect();
                match intake_status(log.as_ref(), &source.name, &landed).await {
                    // Nothing has come yet.
                    Err(LogError::NoTopic { .. }) => {}
                    status => found.push(status?),
                }
            }
            Ok(found)
        })
    }
}

async fn intake_status(
    log: &dyn EventLog,
    source: &SourceName,
    landed: &BTreeMap<String, i64>,
) -> Result<IntakeStatus, LogError> {
    let topic: TopicName = Intake::topic(source)?;
    let info = log.topic(&topic).await?;
    let mut status = IntakeStatus {
        source: source.clone(),
        events: 0,
        lag_events: 0,
        lag_since: None,
        bytes: 0,
        damage: None,
    };
    for (partition, state) in (0..).zip(&info.partitions) {
        let next = landed.get(&Intake::part(source, partition));
        let next = next.map_or(0, |position| u64::try_from(position.saturating_add(1)).unwrap_or(0));
        let next = next.clamp(state.offsets.start, state.offsets.end);
        let Lag { records, since } = log.lag(&Place::new(&topic, partition).at(next)).await?;
        status.events = status.events.saturating_add(state.offsets.end);
        status.lag_events = status.lag_events.saturating_add(records);
        status.lag_since = status.lag_since.into_iter().chain(since).min();
        status.bytes = status.bytes.saturating_add(state.bytes);
        status.damage = status.damage.or_else(|| state.damage.first().map(ToString::to_string));
    }
    Ok(status)
}
