//! The connector of sources that take events in: `connector: {type: events, columns: "id,at", partitions: 2}`. An event is a line
//! with a value for each column.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::array::{Int64Array, TimestampMicrosecondArray};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use millstream_connector::{
    Arrivals, Block, BlockStream, BuildContext, Connector, ConnectorConfig, ConnectorError, ConnectorFactory,
    Discovery, EventDecoder, FoundColumn, Intake, IntakeKind, KnownPart, LogAccess, NamedConnection,
    OptionProblem, Part, PartChange, PartVersion, Positions, ReadEnd, ReadRequest, SourceBatch,
    options_schema, read_options,
};
use millstream_log::{Batch, Payload, Place, ReadBound, TopicInfo};
use millstream_types::{Field, SourceName, TimestampMicros};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::connector::Rows;

#[derive(Clone, Debug)]
pub(crate) struct EventsFactory;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
struct EventsOptions {
    /// The names of the columns.
    columns: String,
    /// How many partitions there are.
    partitions: Option<u32>,
}

#[derive(Debug)]
struct EventsConfig {
    columns: String,
    intake: Intake,
}

impl ConnectorFactory for EventsFactory {
    fn kind(&self) -> &'static str {
        "events"
    }

    fn schema(&self) -> serde_json::Value {
        options_schema::<EventsOptions>()
    }

    fn validate(
        &self,
        options: &serde_json::Value,
        _: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        let (options, problems) = read_options::<EventsOptions>(options);
        let options = problems.result(options)?;
        let mut intake = Intake::new(IntakeKind::Http);
        intake.partitions = NonZeroU32::new(options.partitions.unwrap_or(1)).unwrap();
        Ok(Box::new(EventsConfig { columns: options.columns, intake }))
    }
}

impl ConnectorConfig for EventsConfig {
    fn build(&self, context: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError> {
        Ok(Arc::new(Events {
            source: context.source.clone().unwrap(),
            columns: self.columns.clone(),
            log: context.log.clone().unwrap(),
            ends: Arc::default(),
        }))
    }

    fn intake(&self) -> Option<&Intake> {
        Some(&self.intake)
    }
}

#[derive(Debug)]
struct Events {
    source: SourceName,
    columns: String,
    log: Arc<dyn LogAccess>,
    /// The offsets behind the last reads of the parts.
    ends: Arc<Mutex<HashMap<String, u64>>>,
}

impl Events {
    async fn topic(&self) -> Option<TopicInfo> {
        let log = self.log.log().await.unwrap();
        log.topic(&Intake::topic(&self.source).unwrap()).await.ok()
    }

    fn place(&self, part: &str) -> Place {
        let partition = part.rsplit_once('/').unwrap().1.parse().unwrap();
        Place::new(&Intake::topic(&self.source).unwrap(), partition)
    }
}

#[async_trait]
impl Connector for Events {
    async fn discover(&self, known: &[KnownPart]) -> Result<Discovery, ConnectorError> {
        let mut found = Discovery::default();
        let Some(info) = self.topic().await else { return Ok(found) };
        for (partition, state) in (0..).zip(&info.partitions) {
            let id = Intake::part(&self.source, partition);
            let known = known.iter().find(|part| part.id == id);
            let next = known.map_or(state.offsets.start, |known| u64::try_from(known.position + 1).unwrap());
            if next < state.offsets.end {
                let version = json!({"topic": format!("{:032x}", info.id), "end": state.offsets.end});
                let change = if known.is_some() { PartChange::Grown } else { PartChange::New };
                found.parts.push(Part { id, version: PartVersion(version.to_string()), change, bytes: None });
            }
        }
        Ok(found)
    }

    async fn describe(&self, _: &Part) -> Result<Vec<FoundColumn>, ConnectorError> {
        Ok(Vec::new())
    }

    async fn read(&self, part: &Part, request: &ReadRequest) -> Result<BlockStream, ConnectorError> {
        let (log, place) = (self.log.log().await.unwrap(), self.place(&part.id));
        let info = self.topic().await.unwrap();
        let start = info.partitions[place.partition as usize].offsets.start;
        let from = request.after.map_or(start, |after| u64::try_from(after + 1).unwrap());
        let bound = ReadBound { bytes: usize::MAX, records: usize::MAX };
        let read = log.read(&place.at(from), bound).await.unwrap();
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(part.id.clone(), read.next);
        let blocks = self.blocks(&place, read.batches, &Arc::from([]));
        Ok(stream::iter(blocks.into_iter().map(Ok)).boxed())
    }

    async fn finish(&self, part: &Part) -> Result<ReadEnd, ConnectorError> {
        let next = self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(&part.id).copied();
        let position = next.and_then(|next| i64::try_from(next).ok()).map(|next| next - 1);
        Ok(ReadEnd { version: part.version.clone(), position, more: false })
    }

    fn events(&self) -> Option<&dyn EventDecoder> {
        Some(self)
    }
}

impl EventDecoder for Events {
    fn blocks(&self, place: &Place, batches: Vec<Batch>, _: &Arc<[Field]>) -> Vec<Box<dyn Block>> {
        if batches.is_empty() {
            return Vec::new();
        }
        let (columns, partition) = (self.columns.clone(), place.partition);
        vec![Box::new(EventLines { columns, partition, batches })]
    }
}

/// A block: the events of some batches.
#[derive(Debug)]
struct EventLines {
    columns: String,
    partition: u32,
    batches: Vec<Batch>,
}

impl Block for EventLines {
    fn bytes(&self) -> usize {
        0
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let mut rows = Vec::new();
        let mut instants = HashMap::new();
        for batch in &self.batches {
            let Payload::Messages(messages) = &batch.payload else { panic!("events are messages") };
            for (offset, message) in batch.offsets().zip(messages) {
                let line = String::from_utf8_lossy(message.value.as_ref().unwrap()).into_owned();
                instants.insert(i64::try_from(offset).unwrap(), batch.timestamp.0);
                rows.push((i64::try_from(offset).unwrap(), line));
            }
        }
        let batch = Rows { header: self.columns.clone(), rows }.plain();
        let Positions::Each(positions) = &batch.positions else { panic!("rows have positions of their own") };
        let sequence = |at: i64| Intake::sequence(self.partition, u64::try_from(at).unwrap());
        let arrivals = Arrivals {
            since: TimestampMicros(self.batches.first().map_or(0, |batch| batch.timestamp.0)),
            instants: positions
                .values()
                .iter()
                .map(|at| Some(instants[at]))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
            sequences: positions.values().iter().map(|at| Some(sequence(*at))).collect::<Int64Array>(),
        };
        Ok(SourceBatch { arrivals: Some(arrivals), ..batch })
    }
}
