//! Rows, the ways in which they can arrive, and what a pipeline told.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use millstream_stream::{Output, Pipeline, RefusedReason, StageId};
use millstream_types::Span;
use proptest::prelude::*;

/// A second in microseconds.
pub(crate) const SECOND: i64 = 1_000_000;

pub(crate) fn seconds(seconds: u64) -> Span {
    Span::from_ms(seconds * 1_000)
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub at: Option<i64>,
    pub key: Option<i64>,
    pub amount: Option<i64>,
    pub price: Option<f64>,
    pub word: Option<String>,
    pub sequence: i64,
}

pub(crate) fn row(at: i64, key: i64, amount: i64) -> Row {
    Row { at: Some(at), key: Some(key), amount: Some(amount), price: None, word: None, sequence: 0 }
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("key", DataType::Int64, true),
        Field::new("amount", DataType::Int64, true),
        Field::new("price", DataType::Float64, true),
        Field::new("cents", DataType::Decimal128(20, 2), true),
        Field::new("word", DataType::Utf8, true),
        Field::new("sequence", DataType::Int64, false),
    ]))
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.at).collect();
    let cents: Decimal128Array = rows.iter().map(|row| row.amount.map(i128::from)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.key).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.amount).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.price).collect::<Float64Array>()),
        Arc::new(cents.with_precision_and_scale(20, 2).unwrap()),
        Arc::new(rows.iter().map(|row| row.word.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.sequence).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// What happens to a pipeline.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Rows of a partition of the source with this number among the pipeline's sources, learned of at that second.
    Push {
        source: usize,
        partition: u32,
        rows: Vec<Row>,
    },
    Idle(i64),
    End,
}

/// What a pipeline told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// The rows of the result in the order in which they were told.
    pub rows: Vec<String>,
    /// The rows of the result by merge key, where it has one of so many columns.
    pub table: BTreeMap<String, String>,
    /// Refused rows with their reason, sorted.
    pub refused: Vec<(RefusedReason, String)>,
    pub merges: usize,
    pub deletes: usize,
    pub watermark: i64,
}

/// A pipeline under test.
pub(crate) struct World {
    pub pipeline: Pipeline,
    pub sources: Vec<StageId>,
    /// The number of columns of the merge key.
    pub merge_key: usize,
    pub told: Told,
    /// Whether rows may be deleted that were not told, as behind a filter.
    pub deletes_unknown: bool,
}

impl World {
    pub(crate) fn new(pipeline: Pipeline, sources: &[StageId], merge_key: usize) -> Self {
        let told = Told { watermark: i64::MIN, ..Told::default() };
        Self { pipeline, sources: sources.to_vec(), merge_key, told, deletes_unknown: false }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Push { source, partition, rows } => {
                self.pipeline.push(self.sources[*source], *partition, 0, batch(rows)).unwrap();
            }
            Step::Idle(now) => self.pipeline.idle(*now).unwrap(),
            Step::End => self.pipeline.end().unwrap(),
        }
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.pipeline.next_output().unwrap() {
            self.take(output);
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Rows(rows) => {
                assert!(rows.num_rows() > 0);
                for cells in cells(&rows) {
                    let key = cells[..self.merge_key].join("|");
                    let line = cells.join("|");
                    if self.merge_key > 0 {
                        let former = self.told.table.insert(key, line.clone());
                        assert_eq!(former, None, "a new row takes the place of none");
                    }
                    self.told.rows.push(line);
                }
            }
            Output::Merge(rows) => {
                for cells in cells(&rows) {
                    self.told.merges += 1;
                    self.told.table.insert(cells[..self.merge_key].join("|"), cells.join("|"));
                }
            }
            Output::Delete(rows) => {
                for cells in cells(&rows) {
                    self.told.deletes += 1;
                    let former = self.told.table.remove(&cells.join("|"));
                    assert!(former.is_some() || self.deletes_unknown, "what is deleted was told: {cells:?}");
                }
            }
            Output::Refused(refused) => {
                assert!(refused.rows.num_rows() > 0);
                let lines = cells(&refused.rows).into_iter().map(|cells| (refused.reason, cells.join("|")));
                self.told.refused.extend(lines);
                self.told.refused.sort();
            }
            Output::Watermark(watermark) => {
                assert!(watermark > self.told.watermark, "a watermark goes forward");
                self.told.watermark = watermark;
            }
        }
    }

    /// What was told after all steps.
    pub(crate) fn run(mut self, steps: &[Step]) -> Told {
        steps.iter().for_each(|step| self.step(step));
        self.told
    }
}

/// The values of rows as texts, floats in all their digits.
pub(crate) fn cells(rows: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let formatters: Vec<_> = rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    (0..rows.num_rows())
        .map(|row| {
            formatters
                .iter()
                .zip(rows.columns())
                .map(|(formatter, column)| match column.data_type() {
                    // Times as numbers, which can be as large as they like.
                    DataType::Timestamp(..) => {
                        let numbers = arrow::compute::cast(column, &DataType::Int64).unwrap();
                        ArrayFormatter::try_new(numbers.as_ref(), &options).unwrap().value(row).to_string()
                    }
                    _ => formatter.value(row).to_string(),
                })
                .collect()
        })
        .collect()
}

pub(crate) fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Rows with all kinds of values and times in a span of seconds, each with a number of its own.
pub(crate) fn rows(count: std::ops::Range<usize>, span: i64, keys: i64) -> impl Strategy<Value = Vec<Row>> {
    let price = prop_oneof![
        4 => (-1000..1000_i64).prop_map(|cents| cents as f64 / 100.0),
        2 => any::<i32>().prop_map(|bits| f64::from(bits) * 1e-9),
        1 => Just(0.1),
        1 => Just(1e300),
        1 => Just(-1e300),
        1 => Just(5e-324),
        1 => Just(-0.0),
    ];
    let special = prop_oneof![40 => Just(None), 1 => Just(Some(f64::NAN)), 1 => Just(Some(f64::INFINITY))];
    // Times lie on a grid of half seconds often, so that there are ties and rows at the bounds of windows.
    let at = prop_oneof![(0..span * 2).prop_map(|half| half * SECOND / 2), 0..span * SECOND];
    let row = (
        at,
        proptest::option::weighted(0.9, 0..keys),
        proptest::option::weighted(0.9, -1_000_000..1_000_000_i64),
        proptest::option::weighted(0.9, (price, special)),
        proptest::option::weighted(0.9, "[a-cä]{0,3}"),
    );
    proptest::collection::vec(row, count).prop_map(|rows| {
        let rows = rows.into_iter().zip(0..).map(|((at, key, amount, price, word), sequence)| Row {
            at: Some(at - 20 * SECOND),
            key,
            amount,
            price: price.map(|(price, special)| special.unwrap_or(price)),
            word,
            sequence,
        });
        rows.collect()
    })
}

/// One way in which rows arrive: by partition, out of order by at most so much, cut into batches.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// For each row: its partition, by how much it is delayed, and whether a batch begins with it.
    pub fates: Vec<(u32, i64, bool)>,
    pub partitions: u32,
    /// Which partition goes on next.
    pub turns: Vec<u32>,
}

pub(crate) fn arrival(rows: usize, partitions: u32, disorder: i64) -> impl Strategy<Value = Arrival> {
    let fate = (0..partitions, 0..=disorder, proptest::bool::weighted(0.3));
    let fates = proptest::collection::vec(fate, rows);
    let turns = proptest::collection::vec(0..partitions, rows);
    (fates, turns).prop_map(move |(fates, turns)| Arrival { fates, partitions, turns })
}

impl Arrival {
    /// The steps that bring rows to a source, with the end after them.
    pub(crate) fn steps(&self, source: usize, rows: &[Row]) -> Vec<Step> {
        let mut partitions: Vec<Vec<(i64, bool, Row)>> = vec![Vec::new(); self.partitions as usize];
        for (row, (partition, delay, cut)) in rows.iter().zip(&self.fates) {
            let at = row.at.unwrap_or(0);
            partitions[*partition as usize].push((at + delay, *cut, row.clone()));
        }
        let mut batches: Vec<std::collections::VecDeque<Vec<Row>>> = Vec::new();
        for mut rows in partitions {
            rows.sort_by_key(|(arrives, ..)| *arrives);
            let mut cut: Vec<Vec<Row>> = vec![Vec::new()];
            for (_, begins, row) in rows {
                if begins {
                    cut.push(Vec::new());
                }
                cut.last_mut().unwrap().push(row);
            }
            batches.push(cut.into_iter().collect());
        }
        let mut steps = Vec::new();
        let turns = self.turns.iter().copied().chain((0..self.partitions).cycle());
        for turn in turns {
            if let Some(rows) = batches[turn as usize].pop_front() {
                steps.push(Step::Push { source, partition: turn, rows });
            }
            if batches.iter().all(std::collections::VecDeque::is_empty) {
                break;
            }
        }
        steps
    }
}
