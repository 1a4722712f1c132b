//! What a build will cost, from row counts and types alone: nothing is read.

use arrow::datatypes::{DataType, Schema};
use serde::{Deserialize, Serialize};

use super::{
    join::{JoinCost, join_room},
    layout::{ColumnSource, Layout},
    plan::DatasetPlan,
};
use crate::DatasetError;

// Measured with `examples/dataset_bench.rs` on 1M labels by 10M events of five columns.

/// Core time for each event of a view: to take it in and to put it in order.
const NANOS_PER_EVENT: f64 = 200.0;
/// Core time for each label row and feature: to find or compute the value.
const NANOS_PER_VALUE: f64 = 100.0;
/// Core time for each cell of the output: figures, leaks, compression.
const NANOS_PER_CELL: f64 = 160.0;
/// Core time for each byte that is spilled, written once and read once. A slow disk adds to it.
const NANOS_PER_SPILLED_BYTE: f64 = 2.0;
/// The bytes that a text of unknown length is taken for.
const TEXT_BYTES: usize = 20;
/// The bytes that a list of unknown length is taken for.
const LIST_BYTES: usize = 128;
/// The share of a cell's bytes that zstd leaves.
const COMPRESSED: f64 = 0.5;

/// An estimate of how large a build will be, and how long it will take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The exact number of rows of the output.
    pub rows: u64,
    /// The rough size of the data file.
    pub bytes: u64,
    /// Core time without reading the tables and without on-demand features; good for the order of magnitude. More
    /// cores make it shorter.
    pub seconds: f64,
    /// Events or labels will not fit into memory if this is set.
    pub will_spill: bool,
    /// The size of the spill folder at its fullest, as the rows lie in memory.
    pub spilled_bytes: u64,
}

/// Prices a build of `labels` label rows and `events` rows of events of each view of the service.
///
/// # Errors
///
/// The plan makes no sense.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
pub fn estimate(plan: &DatasetPlan, labels: u64, events: &[u64]) -> Result<Estimate, DatasetError> {
    let layout = Layout::new(plan)?;
    let memory = plan.resources.memory_bytes as u64;
    let rows = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let label_bytes = labels.saturating_mul(row_bytes(&plan.labels.schema));
    let (mut nanos, mut spilled, mut held) = (0.0, 0_u64, label_bytes);
    let views = plan.service.views.iter().zip(&layout.features).zip(events);
    for ((view, features), events) in views.filter(|((_, features), _)| !features.is_empty()) {
        let bytes = events.saturating_mul(row_bytes(&view.event_schema()));
        nanos += *events as f64 * NANOS_PER_EVENT;
        nanos += labels as f64 * features.len() as f64 * NANOS_PER_VALUE;
        if JoinCost::new(view, features).bytes(rows(*events), rows(bytes))
            > join_room(plan.resources.memory_bytes)
        {
            spilled = spilled.max(bytes.saturating_add(label_bytes));
        }
        let values = features.iter().filter_map(|number| view.features.get(*number));
        let answer = values.map(|feature| width(&feature.data_type) as u64 + 1).sum::<u64>() + 8;
        held = held.saturating_add(labels.saturating_mul(answer));
    }
    spilled = spilled.saturating_add(held.saturating_sub(memory / 4));
    nanos += labels as f64 * layout.sources.len() as f64 * NANOS_PER_CELL;
    nanos += spilled as f64 * NANOS_PER_SPILLED_BYTE;
    let fields = layout.schema.fields().iter().zip(&layout.sources);
    let cells = fields
        .filter(|(_, source)| **source != ColumnSource::Split)
        .map(|(field, _)| width(field.data_type()));
    Ok(Estimate {
        rows: labels,
        bytes: (labels as f64 * cells.sum::<usize>() as f64 * COMPRESSED) as u64,
        seconds: nanos / 1e9,
        will_spill: spilled > 0,
        spilled_bytes: spilled,
    })
}

fn row_bytes(schema: &Schema) -> u64 {
    schema.fields().iter().map(|field| width(field.data_type()) as u64).sum()
}

/// Bytes of a value in memory.
fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::Boolean => 1,
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or_default(),
        other => other.primitive_width().unwrap_or(if other.is_nested() { LIST_BYTES } else { TEXT_BYTES }),
    }
}
