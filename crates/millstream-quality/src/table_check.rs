//! Checks on a table as a whole: one aggregate query over the version that is about to become visible.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use datafusion::{
    catalog::TableProvider,
    functions_aggregate::expr_fn::{approx_percentile_cont, avg, count, count_distinct, max},
    functions_aggregate::percentile_cont::percentile_cont,
    logical_expr::{Expr, cast as cast_to, ident, lit},
};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_project::{Bounds, CheckKind, CheckSpec};
use millstream_query::{Execution, QueryRuntime, scan};
use millstream_types::{CheckId, INGESTED_AT, Percent, Severity, Span, TimestampMicros};

use crate::QualityError;

/// What the version before the candidate looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionBefore {
    /// The number of rows of that version; `None` without such a version, or when its files do not say.
    pub rows: Option<u64>,
}

/// The verdict of one table check.
#[derive(Clone, Debug, PartialEq)]
pub struct TableCheckOutcome {
    pub check: CheckId,
    pub severity: Severity,
    pub passed: bool,
    /// The figure as people read it: `1000`, `2h 5m`, `99.5%`, `no values`.
    pub observed: String,
    /// The figure as a number, where there is one: a count, a share of 1, an age in milliseconds, a mean.
    pub value: Option<f64>,
    /// What was expected and found, as a sentence; also for a check that passed.
    pub message: String,
}

/// Above this many rows, where the provider knows their number, quantiles are approximate: an exact one
/// holds all values in memory (8 bytes each).
const EXACT_QUANTILE_ROWS_MAX: usize = 20_000_000;
/// Centroids of the t-digest of an approximate quantile: the rank is wrong by less than 0.1 %.
const CENTROIDS: i64 = 1_000;

/// Evaluates the table checks among `checks`, in their order; row checks are passed over.
///
/// - A column without a value passes mean, quantile and freshness: completeness and row count are for that.
/// - Freshness without a column looks at `_ingested_at`; a table without that column fails.
/// - The change of volume is relative to the rows of the version before, and passes without one, or when it was empty.
/// - Quantiles interpolate between values and are exact up to 20 million rows (and whenever the provider does
///   not know its row count), a t-digest of 1000 centroids above.
/// - The number of distinct values is exact.
pub fn evaluate_table_checks<'a>(
    runtime: &'a dyn QueryRuntime,
    table: Arc<dyn TableProvider>,
    checks: &'a [CheckSpec],
    before: VersionBefore,
    now: TimestampMicros,
) -> BoxFuture<'a, Result<Vec<TableCheckOutcome>, QualityError>> {
    Box::pin(async move {
        let checks: Vec<&CheckSpec> = checks.iter().filter(|check| !check.kind.is_row_check()).collect();
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let schema = table.schema();
        let rows_known = table.statistics().and_then(|statistics| statistics.num_rows.get_value().copied());
        let exact = rows_known.is_none_or(|rows| rows <= EXACT_QUANTILE_ROWS_MAX);
        let mut figures = vec![count(lit(1_i64)).alias("rows")];
        for (index, check) in checks.iter().enumerate() {
            let wanted = figure(&check.kind, exact).map(|(column, figure)| (column.to_owned(), figure));
            if let Some((column, figure)) = wanted {
                let known = schema.column_with_name(&column).is_some();
                match (&check.kind, known) {
                    (_, true) => figures.push(figure.alias(format!("check_{index}"))),
                    (CheckKind::Freshness { column: None, .. }, false) => {}
                    (_, false) => return Err(QualityError::ColumnMissing { column }),
                }
            }
        }
        let doing = || QualityError::query("compute the figures of the table checks");
        let no_groups = Vec::<Expr>::new();
        let plan =
            scan(table).and_then(|rows| rows.aggregate(no_groups, figures)?.build()).map_err(doing())?;
        let rows = runtime.stream(plan, Execution::default()).await.map_err(doing())?;
        let batches: Vec<RecordBatch> = rows.try_collect().await.map_err(doing())?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() == 1) else {
            return Err(QualityError::ColumnMissing { column: "rows".into() });
        };
        let count = int(batch.column(0)).unwrap_or(0).unsigned_abs();
        let judged = |(index, check): (usize, &&CheckSpec)| {
            let verdict = judge(check, figure_of(batch, index), count, before, now);
            TableCheckOutcome {
                check: check.id.clone(),
                severity: check.severity,
                passed: verdict.passed,
                observed: verdict.observed,
                value: verdict.value,
                message: verdict.message,
            }
        };
        Ok(checks.iter().enumerate().map(judged).collect())
    })
}

/// The column that a check looks at, and the aggregate over it.
fn figure(kind: &CheckKind, exact: bool) -> Option<(&str, Expr)> {
    let number = |column: &str| cast_to(ident(column), DataType::Float64);
    Some(match kind {
        CheckKind::Freshness { column, .. } => {
            let column = column.as_ref().map_or(INGESTED_AT, |column| column.value.as_str());
            (column, max(ident(column)))
        }
        CheckKind::Completeness { column, .. } => (column.as_str(), count(ident(column.as_str()))),
        CheckKind::DistinctCount { column, .. } => (column.as_str(), count_distinct(ident(column.as_str()))),
        CheckKind::Mean { column, .. } => (column.as_str(), avg(number(column))),
        CheckKind::Quantile { column, quantile, .. } => {
            let order = number(column).sort(true, false);
            let figure = if exact {
                percentile_cont(order, lit(*quantile))
            } else {
                approx_percentile_cont(order, lit(*quantile), Some(lit(CENTROIDS)))
            };
            (column.as_str(), figure)
        }
        _ => return None,
    })
}

fn figure_of(batch: &RecordBatch, index: usize) -> Option<&ArrayRef> {
    batch.column_by_name(&format!("check_{index}"))
}

struct Judged {
    passed: bool,
    observed: String,
    value: Option<f64>,
    message: String,
}

fn judge(
    check: &CheckSpec,
    figure: Option<&ArrayRef>,
    rows: u64,
    before: VersionBefore,
    now: TimestampMicros,
) -> Judged {
    match &check.kind {
        CheckKind::RowCount { bounds, change_max } => row_count(rows, bounds, *change_max, before),
        CheckKind::Freshness { column, age_max } => {
            let column = column.as_ref().map_or(INGESTED_AT, |column| column.value.as_str());
            freshness(column, figure, *age_max, now)
        }
        CheckKind::Completeness { column, min } => {
            let present = figure.and_then(int).unwrap_or(0).unsigned_abs();
            completeness(column, present, rows, *min)
        }
        CheckKind::DistinctCount { column, bounds } => {
            let distinct = figure.and_then(int).unwrap_or(0).unsigned_abs();
            let what = format!("`{}` has {distinct} distinct values", column.value);
            bounded(distinct.to_string(), distinct as f64, within(&distinct, bounds), &what)
        }
        CheckKind::Mean { column, bounds } => {
            number(figure, bounds, &format!("the mean of `{}`", column.value))
        }
        CheckKind::Quantile { column, quantile, bounds } => {
            number(figure, bounds, &format!("the {quantile} quantile of `{}`", column.value))
        }
        _ => Judged { passed: true, observed: String::new(), value: None, message: String::new() },
    }
}

fn row_count(rows: u64, bounds: &Bounds<u64>, change_max: Option<Percent>, before: VersionBefore) -> Judged {
    let what = format!("the table has {rows} row{}", if rows == 1 { "" } else { "s" });
    let fault = within(&rows, bounds).or_else(|| {
        let before = before.rows.filter(|before| *before > 0)?;
        let change = rows.abs_diff(before);
        let allowed = change_max.filter(|allowed| allowed.compare(change, before).is_gt())?;
        let direction = if rows > before { "more" } else { "fewer" };
        let shown = percent(change as f64 / before as f64);
        Some(format!("{shown} {direction} than the {before} of the version before, allowed are {allowed}"))
    });
    bounded(rows.to_string(), rows as f64, fault, &what)
}

fn freshness(column: &str, figure: Option<&ArrayRef>, age_max: Span, now: TimestampMicros) -> Judged {
    let Some(newest) = figure else {
        let message = format!("the table has no column `{column}` that tells its age");
        return Judged { passed: false, observed: "unknown".into(), value: None, message };
    };
    let instant = cast(newest, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok();
    let Some(newest) = instant.as_ref().and_then(|newest| {
        let newest = newest.as_primitive_opt::<TimestampMicrosecondType>()?;
        newest.is_valid(0).then(|| newest.value(0))
    }) else {
        return no_values(&format!("the newest `{column}`"));
    };
    let age_ms = now.0.saturating_sub(newest).max(0).unsigned_abs() / 1_000;
    let observed = duration(age_ms);
    let what = format!("the newest `{column}` is {observed} old");
    let fault = (age_ms > age_max.ms()).then(|| format!("allowed are {}", duration(age_max.ms())));
    bounded(observed, age_ms as f64, fault, &what)
}

fn completeness(column: &str, present: u64, rows: u64, min: Percent) -> Judged {
    // Cut instead of rounded, so that no share looks like a larger one that was promised.
    let hundredths = (u128::from(present) * 10_000).checked_div(u128::from(rows)).unwrap_or(10_000);
    let shown = format!("{}%", hundredths as f64 / 100.0);
    let share = if rows == 0 { 1.0 } else { present as f64 / rows as f64 };
    let missing = rows.saturating_sub(present);
    let what = format!("`{column}` has a value in {shown} of the rows ({missing} lack one)");
    let is_short = min.compare(present, rows).is_lt();
    let fault = is_short.then(|| format!("at least {min} are promised"));
    bounded(shown, share, fault, &what)
}

fn number(figure: Option<&ArrayRef>, bounds: &Bounds<f64>, what: &str) -> Judged {
    let value = figure.and_then(|figure| {
        let figure = figure.as_primitive_opt::<Float64Type>()?;
        figure.is_valid(0).then(|| figure.value(0))
    });
    let Some(value) = value else { return no_values(what) };
    let fault = if value.is_nan() {
        Some("there are values that are no numbers".into())
    } else {
        within(&value, bounds)
    };
    bounded(value.to_string(), value, fault, &format!("{what} is {value}"))
}

fn no_values(what: &str) -> Judged {
    let message = format!("{what} is unknown: there are no values");
    Judged { passed: true, observed: "no values".into(), value: None, message }
}

fn bounded(observed: String, value: f64, fault: Option<String>, what: &str) -> Judged {
    let message = fault.as_ref().map_or_else(|| what.to_owned(), |fault| format!("{what}: {fault}"));
    Judged { passed: fault.is_none(), observed, value: Some(value), message }
}

/// What is wrong with `value`, if it is out of bounds.
fn within<T: PartialOrd + std::fmt::Display>(value: &T, bounds: &Bounds<T>) -> Option<String> {
    match bounds {
        Bounds { min: Some(min), .. } if value < min => Some(format!("the minimum is {min}")),
        Bounds { max: Some(max), .. } if value > max => Some(format!("the maximum is {max}")),
        _ => None,
    }
}

fn int(figure: &ArrayRef) -> Option<i64> {
    let figure = figure.as_primitive_opt::<Int64Type>()?;
    figure.is_valid(0).then(|| figure.value(0))
}

/// A share with at most two digits after the point.
fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).round() / 100.0;
    format!("{hundredths}%")
}

/// The two largest units of a length of time: `2h 5m`.
fn duration(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let Some(first) = UNITS.iter().position(|(unit, _)| ms >= *unit) else { return "0s".into() };
    let (unit, name) = UNITS[first];
    let rest = ms % unit;
    match UNITS.get(first + 1) {
        Some((next, next_name)) if rest >= *next && *next > 1 => {
            format!("{}{name} {}{next_name}", ms / unit, rest / next)
        }
        _ => format!("{}{name}", ms / unit),
    }
}
