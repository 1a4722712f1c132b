//! The keys that a refresh replaces, and what is known of them without looking at each: ranges that let
//! files be skipped.

use std::sync::Arc;

use chrono::{DateTime, Months};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
        compute::{SortOptions, cast, concat_batches, sort, take},
        datatypes::{DataType, Decimal128Type, Int64Type, SchemaRef, TimeUnit, UInt64Type},
    },
    catalog::TableProvider,
    common::{Result, ScalarValue},
    datasource::MemTable,
    logical_expr::{Expr, lit, utils::disjunction},
};

/// The number of ranges that are kept for a column; keys often lie in a few clusters (today, and a late day).
const RANGES: usize = 8;
/// The number of values up to which each is listed by itself, which prunes better than ranges.
const LISTED: usize = 16;

/// A set of keys, in memory.
#[derive(Clone, Debug)]
pub struct KeySet {
    pub(super) labels: Vec<String>,
    /// The key's expressions over the table's columns, unqualified.
    pub(super) exprs: Vec<Expr>,
    keys: RecordBatch,
    spans: Vec<Span>,
}

/// The least and greatest value of a key column in a [`KeySet`], without bounds when all values are null.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRange {
    /// The name of the key in messages.
    pub column: String,
    pub bounds: Option<(ScalarValue, ScalarValue)>,
    pub has_null: bool,
}

/// The ranges in which the values of one column lie.
#[derive(Clone, Debug)]
pub(super) struct Span {
    ranges: Vec<(ScalarValue, ScalarValue)>,
    has_null: bool,
}

impl KeySet {
    /// A set of the keys in `batches`, which hold one column for each expression of the key, and each key once.
    pub(super) fn new(
        labels: Vec<String>,
        exprs: Vec<Expr>,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Self> {
        let keys = concat_batches(schema, batches)?;
        let spans = keys.columns().iter().map(Span::of).collect::<Result<_>>()?;
        Ok(Self { labels, exprs, keys, spans })
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.num_rows()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys, with one column for each part of the key.
    #[must_use]
    pub fn batch(&self) -> &RecordBatch {
        &self.keys
    }

    /// The least and greatest value of each part of the key, for choosing the files that can hold the keys.
    #[must_use]
    pub fn ranges(&self) -> Vec<KeyRange> {
        self.labels
            .iter()
            .zip(&self.spans)
            .map(|(label, span)| KeyRange {
                column: label.clone(),
                bounds: match (span.ranges.first(), span.ranges.last()) {
                    (Some((least, _)), Some((_, greatest))) => Some((least.clone(), greatest.clone())),
                    _ => None,
                },
                has_null: span.has_null,
            })
            .collect()
    }

    /// True for every row whose key may be in the set: a filter over the table's columns that statistics of
    /// files can answer. None when there is nothing to say.
    #[must_use]
    pub fn predicate(&self) -> Option<Expr> {
        datafusion::logical_expr::utils::conjunction(
            self.exprs.iter().zip(&self.spans).filter_map(|(expr, span)| span.predicate(expr)),
        )
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(super) fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(MemTable::try_new(self.keys.schema(), vec![vec![self.keys.clone()]])?))
    }
}

impl Span {
    pub(super) fn of(values: &ArrayRef) -> Result<Self> {
        let has_null = values.null_count() > 0;
        if !prunable(values.data_type()) {
            return Ok(Self { ranges: Vec::new(), has_null });
        }
        let sorted = sort(values, Some(SortOptions { descending: false, nulls_first: false }))?;
        let sorted = sorted.slice(0, sorted.len() - sorted.null_count());
        let cuts = cuts(&sorted)?;
        let mut ranges = Vec::with_capacity(cuts.len() + 1);
        let mut start = 0;
        for end in cuts.into_iter().chain([sorted.len()]) {
            if end > start {
                ranges.push((
                    ScalarValue::try_from_array(&sorted, start)?,
                    ScalarValue::try_from_array(&sorted, end - 1)?,
                ));
            }
            start = end;
        }
        Ok(Self { ranges, has_null })
    }

    /// A filter on `expr` that all values of the span pass.
    pub(super) fn predicate(&self, expr: &Expr) -> Option<Expr> {
        let within = |(least, greatest): &(ScalarValue, ScalarValue)| {
            let (subject, least, greatest) = truncated(expr, least, greatest).unwrap_or_else(|| {
                (expr.clone(), lit(least.clone()), Bound::Inclusive(lit(greatest.clone())))
            });
            match greatest {
                Bound::Inclusive(upper) if upper == least => subject.eq(least),
                Bound::Inclusive(upper) => subject.clone().gt_eq(least).and(subject.lt_eq(upper)),
                Bound::Exclusive(upper) => subject.clone().gt_eq(least).and(subject.lt(upper)),
            }
        };
        if self.ranges.is_empty() {
            return None;
        }
        let null = self.has_null.then(|| expr.clone().is_null());
        disjunction(self.ranges.iter().map(within).chain(null))
    }
}

enum Bound {
    Inclusive(Expr),
    Exclusive(Expr),
}

/// Gives `date_trunc(grain, x)` between two begins of grains as a range of `x` itself, which statistics know. Where one
/// truncation is inside another, the coarser of the two counts.
fn truncated(expr: &Expr, least: &ScalarValue, greatest: &ScalarValue) -> Option<(Expr, Expr, Bound)> {
    let (mut subject, mut coarsest) = (expr, None);
    while let Some((grain, inner)) = truncation(subject) {
        subject = inner;
        coarsest = coarsest.max(Some(grain));
    }
    let instant = greatest.data_type();
    let DataType::Timestamp(_, zone) = &instant else { return None };
    if zone.as_deref().is_some_and(|zone| !matches!(zone, "UTC" | "+00:00")) {
        return None;
    }
    let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
    let ScalarValue::TimestampMicrosecond(Some(last), _) = greatest.cast_to(&micros).ok()? else {
        return None;
    };
    let end = ScalarValue::TimestampMicrosecond(Some(coarsest?.end(last)?), zone.clone());
    Some((subject.clone(), lit(least.clone()), Bound::Exclusive(lit(end.cast_to(&instant).ok()?))))
}

/// The grain and the argument of `date_trunc`.
fn truncation(expr: &Expr) -> Option<(Grain, &Expr)> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [Expr::Literal(grain, _), subject] = call.args.as_slice() else { return None };
    if call.func.name() != "date_trunc" {
        return None;
    }
    let grain = match grain.try_as_str().flatten()?.to_ascii_lowercase().as_str() {
        "minute" => Grain::Minute,
        "hour" => Grain::Hour,
        "day" => Grain::Day,
        "month" => Grain::Month,
        "quarter" => Grain::Quarter,
        "year" => Grain::Year,
        _ => return None,
    };
    Some((grain, subject))
}

/// Spans of time, from the shortest, of which each consists of whole shorter ones. Weeks are left out, because months do
/// not consist of whole weeks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grain {
    Minute,
    Hour,
    Day,
    Month,
    Quarter,
    Year,
}

impl Grain {
    /// The instant after the grain that begins at `start` (microseconds).
    fn end(self, start: i64) -> Option<i64> {
        let months = |count| {
            let begin = DateTime::from_timestamp_micros(start)?;
            Some(begin.checked_add_months(Months::new(count))?.timestamp_micros())
        };
        match self {
            Self::Minute => start.checked_add(60_000_000),
            Self::Hour => start.checked_add(3_600_000_000),
            Self::Day => start.checked_add(86_400_000_000),
            Self::Month => months(1),
            Self::Quarter => months(3),
            Self::Year => months(12),
        }
    }
}

/// Whether the type has an order and files keep statistics of it. Floats are left out: statistics leave out NaN.
fn prunable(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_temporal()
        || data_type.is_decimal()
        || matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

/// The places at which sorted values are cut into ranges. Few values each get a range; more are cut at the widest gaps.
fn cuts(sorted: &ArrayRef) -> Result<Vec<usize>> {
    let distinct = distinct_starts(sorted)?;
    if distinct.len() <= LISTED {
        return Ok(distinct.into_iter().skip(1).collect());
    }
    let Some(points) = points(sorted)? else { return Ok(Vec::new()) };
    let mut gaps: Vec<(i128, usize)> = distinct
        .windows(2)
        .filter_map(|pair| Some((points.get(pair[1])?.saturating_sub(*points.get(pair[0])?), pair[1])))
        .collect();
    if gaps.len() >= RANGES {
        gaps.select_nth_unstable_by(RANGES - 1, |a, b| b.cmp(a));
    }
    let mut cuts: Vec<usize> = gaps.into_iter().take(RANGES - 1).map(|(_, at)| at).collect();
    cuts.sort_unstable();
    Ok(cuts)
}

fn distinct_starts(sorted: &ArrayRef) -> Result<Vec<usize>> {
    let ranges = datafusion::arrow::compute::partition(std::slice::from_ref(sorted))?;
    Ok(ranges.ranges().into_iter().map(|range| range.start).collect())
}

/// The values as points on a line, for types where distance means something.
fn points(values: &ArrayRef) -> Result<Option<Vec<i128>>> {
    let integers = match values.data_type() {
        DataType::Decimal128(..) => {
            return Ok(Some(values.as_primitive::<Decimal128Type>().values().to_vec()));
        }
        DataType::UInt64 => {
            return Ok(Some(widened(values.as_primitive::<UInt64Type>().values())));
        }
        // Dates and times of 32 bits are not cast to 64 directly.
        DataType::Date32 | DataType::Time32(_) => cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?,
        other if other.is_integer() || other.is_temporal() => cast(values, &DataType::Int64)?,
        _ => return Ok(None),
    };
    Ok(integers.as_primitive_opt::<Int64Type>().map(|integers| widened(integers.values())))
}

fn widened<T: Copy + Into<i128>>(values: &[T]) -> Vec<i128> {
    values.iter().map(|value| (*value).into()).collect()
}

/// The rows of `batch` at `rows`.
pub(super) fn take_rows(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch> {
    let columns =
        batch.columns().iter().map(|column| take(column, rows, None)).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
