//! Where the partitions of a table stand, for people and for servers.

use futures::future::BoxFuture;
use millstream_plan::PartitionStatus;
use millstream_types::TableName;

use super::grid::Grid;
use crate::{Engine, EngineError};

/// Where the partitions of one table stand.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionOverview {
    pub table: TableName,
    /// What parts the rows: `day`, `day Europe/Berlin`, `value`.
    pub by: String,
    pub column: String,
    pub built: u64,
    pub stale: u64,
    pub failed: u64,
    pub missing: u64,
    /// Partitions in a row that stand equally, in order.
    pub ranges: Vec<PartitionRange>,
    /// The checks that do not hold, the worst first.
    pub broken: Vec<BrokenPartition>,
}

/// Partitions in a row that stand equally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    pub first: String,
    /// The last partition, which is one of them.
    pub last: String,
    pub count: u64,
    pub status: &'static str,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// JSON of the parameters that a backfill has set; empty for none.
    pub parameters: String,
}

/// A check that does not hold in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPartition {
    pub partition: String,
    pub check: String,
    pub severity: &'static str,
    /// Rows that broke a row check; 1 for a check of the whole partition.
    pub failed: u64,
    pub observed: Option<String>,
}

impl Engine {
    /// Where the partitions of a table stand; `None` for a table that has none.
    pub fn partitions<'a>(
        &'a self,
        table: &'a TableName,
    ) -> BoxFuture<'a, Result<Option<PartitionOverview>, EngineError>> {
        Box::pin(async move {
            let (world, asset) = (self.world(), table.asset_id());
            let Some(spec) = self.project().table(table) else { return Ok(None) };
            let Some(partition) = &spec.partition else { return Ok(None) };
            let analysed = world.project.analysis.tables.get(table);
            let analysed = analysed.ok_or_else(|| self.project().unknown_table(table))?;
            let values = world.state.partition_values(&asset).await?;
            let grid = Grid::new(spec, partition, &analysed.stored_schema, values)?;
            let states = world.state.partitions(&asset).await?;
            let is_value = grid.calendar().is_none();
            let mut overview = PartitionOverview {
                table: table.clone(),
                by: grid.calendar().map_or_else(|| "value".to_owned(), |calendar| calendar.to_string()),
                column: partition.column.value.clone(),
                built: 0,
                stale: 0,
                failed: 0,
                missing: 0,
                ranges: Vec::new(),
                broken: Vec::new(),
            };
            for span in states.iter().flat_map(|states| states.spans()) {
                let count = millstream_plan::PartitionSet::range(span.first, span.last).len();
                let error = match &span.standing.status {
                    PartitionStatus::Failed { error } => Some(error.clone()),
                    _ => None,
                };
                match span.standing.status {
                    PartitionStatus::Built => overview.built += count,
                    PartitionStatus::Stale => overview.stale += count,
                    PartitionStatus::Failed { .. } => overview.failed += count,
                    PartitionStatus::Missing => overview.missing += count,
                }
                let range = |first: i64, last: i64, count: u64| PartitionRange {
                    first: grid.label(first),
                    last: grid.label(last),
                    count,
                    status: span.standing.status.as_str(),
                    error: error.clone(),
                    parameters: span.standing.parameters.clone(),
                };
                if is_value {
                    // Values that follow one another by their numbers have nothing in common.
                    overview.ranges.extend((span.first..=span.last).map(|one| range(one, one, 1)));
                } else {
                    overview.ranges.push(range(span.first, span.last, count));
                }
            }
            let mut broken = world.state.broken_checks(&asset).await?;
            broken.sort_by_key(|broken| std::cmp::Reverse((broken.severity, broken.failed)));
            let named = broken.into_iter().map(|broken| BrokenPartition {
                partition: grid.label(broken.partition),
                check: broken.check.to_string(),
                severity: broken.severity.as_str(),
                failed: broken.failed,
                observed: broken.observed,
            });
            overview.broken.extend(named);
            Ok(Some(overview))
        })
    }
}
