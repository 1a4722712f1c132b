//! What a view follows: the rows of a streaming source as its contract lets them into its table, each of which is an event.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::{concat_batches, filter_record_batch},
    datatypes::Int64Type,
};
use futures::{StreamExt, stream};
use millstream_features::view::ViewDefinition;
use millstream_lake::Snapshot;
use millstream_project::{LandingMode, SourceSpec};
use millstream_sql::features::RowEvents;
use millstream_types::{POSITION, TableName};

use super::landed::landed;
use crate::{
    EngineError, Project,
    assets::{
        Defined,
        feature_view::{LogProgress, LogSpan, Offsets, Progress, progress::reaches},
        table::is_gone,
    },
    commit_info::{CommitInfo, Committed},
    engine::World,
    features::rows::EventStream,
    pinning::Pinning,
    source_rows::{CheckedRows, RowsBound, SourceRows},
};

/// The most records of a partition that one read of a span gives.
const SPAN_RECORDS: usize = 64 * 1024;

/// A definition of a view, and the source whose events it follows.
#[derive(Debug)]
pub(crate) struct Follow {
    pub source: SourceSpec,
    /// The id of the source's topic.
    pub topic: String,
    events: RowEvents,
    pub rows: Arc<SourceRows>,
}

/// The source whose events the view follows; `None` for a view that is brought up to date from tables alone. Each event of such a
/// view is made of one row of the source, and no row of the source takes the place of another.
pub(crate) fn followed<'a>(project: &'a Project, view: &str) -> Option<&'a SourceSpec> {
    let Project { spec, analysis, features, connectors, .. } = project;
    followed_as_defined(&Defined { spec, analysis, features, connectors }, view)
}

/// The same of a project that has no graph yet.
pub(crate) fn followed_as_defined<'a>(defined: &Defined<'a>, view: &str) -> Option<&'a SourceSpec> {
    defined.spec.features.view(view).filter(|spec| spec.stream)?;
    let analyzed = defined.features.views.get(view).filter(|view| view.row_wise)?;
    let [table] = analyzed.dependencies.as_slice() else { return None };
    let of_table = |source: &&SourceSpec| source.landing == LandingMode::Append && source.table() == *table;
    let source = defined.spec.sources.iter().find(of_table)?;
    defined.connectors.get(&source.name)?.intake().map(|_| source)
}

impl Follow {
    /// What this definition of a view follows. An earlier definition, which older versions of services read, follows as long as its
    /// query still fits the source.
    pub(crate) async fn of(
        world: &Arc<World>,
        definition: &ViewDefinition,
    ) -> Result<Option<Arc<Self>>, EngineError> {
        let Some(source) = followed(&world.project, &definition.name) else { return Ok(None) };
        let events = match RowEvents::compile(definition, &world.project.analysis) {
            Ok(events) if *events.table() == source.table() => events,
            Ok(_) => return Ok(None),
            Err(error) => {
                let (view, error) = (&definition.name, crate::error::told(&error));
                tracing::warn!(view, error, "an earlier definition of a view follows its source no more");
                return Ok(None);
            }
        };
        let rows = SourceRows::open(world, &source.name).await?;
        let topic = format!("{:032x}", rows.info().await?.id);
        Ok(Some(Arc::new(Self { source: source.clone(), topic, events, rows })))
    }

    /// The events of the log that a materialisation takes in beside those of the tables that `pinning` holds: from where the source
    /// has landed, to where the records are that are `known`.
    pub(crate) async fn span(
        &self,
        world: &World,
        pinning: &Pinning,
        known: Option<&LogProgress>,
    ) -> Result<LogSpan, EngineError> {
        let from = match pinning.snapshots().get(&self.source.table()) {
            None => self.rows.starts().await?,
            Some(snapshot) => self.landed_at(world, snapshot).await?.ok_or_else(|| self.unknown())?,
        };
        // Records of another topic of this name are given up with it. A batch that was begun is in some of them.
        let records = known.filter(|known| self.is_followed_by(known));
        let records = records.map_or(&[][..], |known| known.begun.as_ref().unwrap_or(&known.offsets));
        let records = records.iter().copied().chain(std::iter::repeat(0));
        let to = from.iter().zip(records).map(|(from, records)| records.max(*from)).collect();
        Ok(LogSpan { from, to })
    }

    /// Whether these records were fed from the topic that the source has now.
    pub(crate) fn is_followed_by(&self, known: &LogProgress) -> bool {
        known.topic == self.topic
    }

    /// The offsets up to which a version of the source's table has the events; `None` where nothing tells any more.
    pub(crate) async fn landed_at(
        &self,
        world: &World,
        snapshot: &Snapshot,
    ) -> Result<Option<Offsets>, EngineError> {
        let Some(landed) = landed(world, &self.source, &self.topic, snapshot).await? else { return Ok(None) };
        // A landing begins with the oldest record that there is.
        let starts = self.rows.starts().await?;
        let offset = |(partition, start): (u32, u64)| landed.get(&partition).copied().unwrap_or(start);
        Ok(Some((0..).zip(starts).map(offset).collect()))
    }

    /// Whether the versions have nothing that the records do not have: since those of `known`, landings have added rows, which come
    /// by the log.
    pub(crate) async fn only_landed(
        &self,
        world: &World,
        known: &Progress,
        versions: &BTreeMap<TableName, i64>,
    ) -> Result<bool, EngineError> {
        let table = self.source.table();
        let Some(to) = versions.get(&table) else { return Ok(true) };
        // Before the first version there is nothing that a commit could correct.
        let from = known.versions.get(&table).copied().unwrap_or(-1);
        let commits = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        for commit in world.lake.history(&table, Some(commits)).await? {
            if commit.version <= from || commit.version > *to {
                continue;
            }
            match CommitInfo::from_json(&commit.info).map(|info| info.what) {
                Some(Committed::Landing { full: false, .. }) => {}
                Some(_) => return Ok(false),
                // Maintenance and other writers are known by what they do.
                None => {}
            }
        }
        if from < 0 {
            return Ok(true);
        }
        match world.lake.changes(&table, from, *to).await {
            Ok(changes) => Ok(changes.only_adds()),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The events between these offsets, as they are read.
    pub(crate) fn between(self: &Arc<Self>, span: &LogSpan) -> EventStream {
        let (begin, to) = ((self.clone(), span.from.clone()), span.to.clone());
        stream::try_unfold(begin, move |(follow, mut at)| {
            let to = to.clone();
            async move {
                if reaches(&at, &to) {
                    return Ok(None);
                }
                let bound = RowsBound { records: SPAN_RECORDS };
                let mut rows = follow.rows.present(&at, bound).await?;
                rows.retain(|rows| rows.offsets.start < offset(&to, rows.partition));
                if rows.is_empty() {
                    return Err(follow.held());
                }
                advance(&mut at, &rows);
                let rows: Vec<CheckedRows> =
                    rows.into_iter().map(|rows| before(rows, &to)).collect::<Result<_, _>>()?;
                let events = follow.events_of(&rows)?;
                Ok(Some((events, (follow, at))))
            }
        })
        .boxed()
    }

    /// The events of rows.
    pub(crate) fn events_of(&self, rows: &[CheckedRows]) -> Result<RecordBatch, EngineError> {
        let mut events = Vec::with_capacity(rows.len());
        for rows in rows.iter().filter(|rows| rows.rows.num_rows() > 0) {
            events.push(self.events.of(&rows.rows).map_err(EngineError::Query)?);
        }
        match events.as_slice() {
            [only] => Ok(only.clone()),
            all => concat_batches(self.events.event_schema(), all)
                .map_err(|source| EngineError::Arrow { action: "put events of the log together", source }),
        }
    }

    /// Events that are in the log are not handed out while the source's breaker is open.
    fn held(&self) -> EngineError {
        EngineError::Refused {
            table: self.source.table(),
            message: "holds its events back: its breaker is open".to_owned(),
            hint: format!(
                "change the contract, or let them through with `millstream source resume {}`",
                self.source.name
            ),
        }
    }

    fn unknown(&self) -> EngineError {
        EngineError::Refused {
            table: self.source.table(),
            message: "has no record that says up to which events of the log it was landed".to_owned(),
            hint: format!(
                "restore the state store, or land everything anew with `millstream run source:{} --full-refresh`",
                self.source.name
            ),
        }
    }
}

/// Moves offsets behind what was read.
pub(super) fn advance(offsets: &mut Offsets, rows: &[CheckedRows]) {
    for rows in rows {
        let at = usize::try_from(rows.partition).ok().and_then(|at| offsets.get_mut(at));
        if let Some(offset) = at {
            *offset = (*offset).max(rows.offsets.end);
        }
    }
}

fn offset(offsets: &Offsets, partition: u32) -> u64 {
    usize::try_from(partition).ok().and_then(|at| offsets.get(at)).copied().unwrap_or(0)
}

/// The rows before these offsets.
fn before(rows: CheckedRows, to: &Offsets) -> Result<CheckedRows, EngineError> {
    let end = offset(to, rows.partition);
    if rows.offsets.end <= end {
        return Ok(rows);
    }
    let positions =
        rows.rows.column_by_name(POSITION).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let positions = positions.ok_or(EngineError::Worker { doing: "reading the offsets of rows" })?;
    let is_before = |at: Option<i64>| at.and_then(|at| u64::try_from(at).ok()).map(|at| at < end);
    let kept: BooleanArray = positions.iter().map(is_before).collect();
    let kept = filter_record_batch(&rows.rows, &kept)
        .map_err(|source| EngineError::Arrow { action: "cut rows of the log off", source })?;
    Ok(CheckedRows { rows: kept, offsets: rows.offsets.start..end, ..rows })
}
