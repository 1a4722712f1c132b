//! Served values as they were kept, grouped by what they are computed of.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use millstream_features::view::Status;
use millstream_lake::At;
use millstream_types::TableName;

use super::VerifyRequest;
use crate::{
    EngineError,
    engine::World,
    features::served::{SERVED, status_word},
};

/// What served values were computed of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A view, in the definition with this number.
    View { name: String, space: u64 },
    /// The on-demand features of a service's version.
    OnDemand { service: String, version: i64 },
}

impl Origin {
    /// The name of a feature in reports.
    pub(super) fn named(&self, feature: &str) -> String {
        match self {
            Self::View { name, .. } => format!("{name}.{feature}"),
            Self::OnDemand { .. } => feature.to_owned(),
        }
    }
}

/// Served values of one origin, row by row.
#[derive(Default)]
pub(super) struct Sample {
    pub served_at: Vec<i64>,
    /// The time that was asked for.
    pub at: Vec<i64>,
    pub feature: Vec<String>,
    /// The key columns of the read, for on-demand features with the request values, as a JSON object of texts.
    pub entity: Vec<String>,
    pub value: Vec<Option<String>>,
    status: Vec<String>,
    event_time: Vec<Option<i64>>,
}

impl Sample {
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether the row was served with this value and status.
    pub(super) fn is(&self, row: usize, value: Option<&str>, status: Status) -> bool {
        self.value.get(row).is_some_and(|served| served.as_deref() == value) && self.has(row, status)
    }

    /// Whether the value was served with this status.
    pub(super) fn has(&self, row: usize, status: Status) -> bool {
        self.status.get(row).is_some_and(|served| served == status_word(status))
    }

    /// Time of the newest event that the store had.
    pub(super) fn event_time(&self, row: usize) -> Option<i64> {
        self.event_time.get(row).copied().flatten()
    }
}

/// The newest served values.
pub(super) async fn samples(
    world: &World,
    request: &VerifyRequest,
) -> Result<BTreeMap<Origin, Sample>, EngineError> {
    let table: TableName = SERVED.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })?;
    if world.lake.snapshot(&table, At::Latest).await?.is_none() {
        return Ok(BTreeMap::new());
    }
    let since_ms = i64::try_from(request.since.ms()).unwrap_or(i64::MAX);
    let since = world.options.clock.now().0.saturating_sub(since_ms.saturating_mul(1_000));
    let sql = format!(
        "SELECT served_at, \"at\", \"view\", space, feature, entity, value, status, event_time, service, version \
         FROM {SERVED} WHERE served_at >= to_timestamp_micros({since}) ORDER BY served_at DESC LIMIT {}",
        request.limit
    );
    let mut rows = world.sql.query(&sql, None).await.map_err(EngineError::Query)?;
    let mut samples: BTreeMap<Origin, Sample> = BTreeMap::new();
    while let Some(batch) = rows.try_next().await.map_err(EngineError::rows)? {
        take_in(&batch, &mut samples);
    }
    Ok(samples)
}

fn take_in(batch: &RecordBatch, samples: &mut BTreeMap<Origin, Sample>) {
    let instants = |column: usize| {
        let values = batch.column(column).as_primitive_opt::<TimestampMicrosecondType>().cloned();
        move |row: usize| {
            let values = values.as_ref()?;
            values.is_valid(row).then(|| values.value(row))
        }
    };
    let texts = |column: usize| {
        let values = batch.column(column).as_string_opt::<i32>().cloned();
        move |row: usize| {
            let values = values.as_ref()?;
            values.is_valid(row).then(|| values.value(row).to_owned())
        }
    };
    let (served_at, at, event_time) = (instants(0), instants(1), instants(8));
    let (view, space, feature, entity, value, status, service) =
        (texts(2), texts(3), texts(4), texts(5), texts(6), texts(7), texts(9));
    let versions = batch.column(10).as_primitive_opt::<Int64Type>();
    for row in 0..batch.num_rows() {
        let origin = match view(row) {
            Some(name) => {
                let space = space(row).and_then(|space| u64::from_str_radix(&space, 16).ok());
                Origin::View { name, space: space.unwrap_or(0) }
            }
            None => Origin::OnDemand {
                service: service(row).unwrap_or_default(),
                version: versions.map_or(0, |versions| versions.value(row)),
            },
        };
        let sample = samples.entry(origin).or_default();
        sample.served_at.push(served_at(row).unwrap_or_default());
        sample.at.push(at(row).unwrap_or_default());
        sample.feature.push(feature(row).unwrap_or_default());
        sample.entity.push(entity(row).unwrap_or_default());
        sample.value.push(value(row));
        sample.status.push(status(row).unwrap_or_default());
        sample.event_time.push(event_time(row));
    }
}
