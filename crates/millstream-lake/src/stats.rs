//! Reads the statistics that Delta keeps with each data file, as bounds that pruning and metadata
//! answers may rely on.
//!
//! A bound always encloses the values. It is `exact` only when some row has that very value: truncated
//! strings, timestamps cut to milliseconds and floats (NaN and signed zero) are bounds but not answers.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::{
    common::{ColumnStatistics, Statistics, stats::Precision},
    scalar::ScalarValue,
};
use serde_json::{Map, Value};

/// Writers cut long texts: by the protocol's custom at 32 characters, by Parquet's at 64 bytes, and make the largest larger
/// then. Only a text of fewer bytes than this is surely whole.
pub(crate) const WHOLE_TEXT_BYTES: usize = 32;
/// A decimal whose digits make a number below this one goes through an `f64` without loss.
const EXACT_DECIMAL_BELOW: u128 = 1_000_000_000_000_000;
/// Powers of ten up to this one are exact as `f64`.
const EXACT_POWER_OF_TEN: i8 = 22;
/// How far the largest timestamp may lie above the one that is written, because the protocol cuts timestamps to
/// milliseconds.
const CUT_MICROS: i64 = 999;
/// How many steps a parsed float may lie from the one that was written. JSON numbers are parsed fast rather than to the
/// last bit: mantissa, power of ten and their product are each rounded once, and a very small result once more.
const FLOAT_STEPS: usize = 4;

/// What a file's statistics say about its columns, in the order of a schema.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) rows: Option<u64>,
    pub(crate) columns: Vec<ColumnBounds>,
}

/// What a file's statistics say about one column; `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnBounds {
    /// The number of the column's nulls.
    pub nulls: Option<u64>,
    /// A value below which no value of the column lies.
    pub min: Option<ScalarValue>,
    /// A value above which no value of the column lies.
    pub max: Option<ScalarValue>,
    /// Whether `min` and `max` are values of rows, not just bounds.
    pub exact: bool,
}

pub(crate) fn rows(stats: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Rows {
        num_records: Option<u64>,
    }
    serde_json::from_str::<Rows>(stats).ok()?.num_records
}

pub(crate) fn parse(stats: Option<&str>, rows: Option<u64>, schema: &SchemaRef) -> Bounds {
    let stats = Parsed::new(stats);
    let columns = schema.fields().iter().map(|field| stats.column(field.name(), field.data_type()));
    Bounds { rows, columns: columns.collect() }
}

pub(crate) fn column(stats: Option<&str>, name: &str, data_type: &DataType) -> ColumnBounds {
    Parsed::new(stats).column(name, data_type)
}

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Parsed {
    /// Whether the statistics are tight. `false` says that values may lie inside the bounds and that nulls may be fewer
    /// or more.
    tight_bounds: Option<bool>,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

impl Parsed {
    /// Reads a file's statistics. They are advice: what cannot be understood is unknown.
    fn new(stats: Option<&str>) -> Self {
        stats.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn column(&self, name: &str, data_type: &DataType) -> ColumnBounds {
        let min = self.min_values.get(name).and_then(|value| bound(value, data_type, Side::Min));
        let max = self.max_values.get(name).and_then(|value| bound(value, data_type, Side::Max));
        let tight = self.tight_bounds != Some(false);
        let exact = [&min, &max].iter().all(|side| side.as_ref().is_some_and(|(_, exact)| *exact));
        ColumnBounds {
            nulls: self.null_count.get(name).and_then(Value::as_u64).filter(|_| tight),
            min: min.map(|(value, _)| value),
            max: max.map(|(value, _)| value),
            exact: exact && tight,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Min,
    Max,
}

fn bound(value: &Value, data_type: &DataType, side: Side) -> Option<(ScalarValue, bool)> {
    let exact = |scalar| Some((scalar, true));
    match data_type {
        DataType::Boolean => exact(ScalarValue::Boolean(Some(value.as_bool()?))),
        DataType::Int8 => exact(ScalarValue::Int8(Some(value.as_i64()?.try_into().ok()?))),
        DataType::Int16 => exact(ScalarValue::Int16(Some(value.as_i64()?.try_into().ok()?))),
        DataType::Int32 => exact(ScalarValue::Int32(Some(value.as_i64()?.try_into().ok()?))),
        DataType::Int64 => exact(ScalarValue::Int64(Some(value.as_i64()?))),
        DataType::Float32 => float32(value.as_f64()?, side).map(|v| (ScalarValue::Float32(Some(v)), false)),
        DataType::Float64 => Some((ScalarValue::Float64(Some(float64(value.as_f64()?, side))), false)),
        DataType::Decimal128(precision, scale) => {
            exact(ScalarValue::Decimal128(Some(decimal(value, *scale)?), *precision, *scale))
        }
        DataType::Date32 => {
            let days = chrono::NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()?;
            let days = days.signed_duration_since(chrono::NaiveDate::default()).num_days();
            exact(ScalarValue::Date32(Some(days.try_into().ok()?)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            let time = chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            let micros = time.timestamp_micros();
            let cut = if side == Side::Max && micros % 1000 == 0 { CUT_MICROS } else { 0 };
            let micros = micros.checked_add(cut)?;
            Some((ScalarValue::TimestampMicrosecond(Some(micros), Some(zone.clone())), false))
        }
        DataType::Utf8 | DataType::Utf8View => {
            let text = value.as_str()?;
            let exact = text.len() < WHOLE_TEXT_BYTES;
            let text = Some(text.to_owned());
            let scalar = match data_type {
                DataType::Utf8 => ScalarValue::Utf8(text),
                _ => ScalarValue::Utf8View(text),
            };
            Some((scalar, exact))
        }
        _ => None,
    }
}

/// The value moved outwards by as much as its parsing may have moved it inwards.
fn float64(value: f64, side: Side) -> f64 {
    let outwards = if side == Side::Min { f64::next_down } else { f64::next_up };
    (0..FLOAT_STEPS).fold(value, |value, _| outwards(value))
}

/// The value moved outwards by one step. Some writers print all digits of an `f32` and some the shortest text, so the
/// nearest `f32` may lie a step inside.
#[allow(clippy::cast_possible_truncation)]
fn float32(value: f64, side: Side) -> Option<f32> {
    let narrow = value as f32;
    let outwards = if side == Side::Min { narrow.next_down() } else { narrow.next_up() };
    narrow.is_finite().then_some(outwards)
}

#[allow(clippy::cast_possible_truncation)]
fn decimal(value: &Value, scale: i8) -> Option<i128> {
    if scale == 0
        && let Some(whole) = value.as_i64()
    {
        return Some(whole.into());
    }
    // The check keeps the number below 2^63. From `EXACT_DECIMAL_BELOW` on the writer may have rounded it, so it is no
    // bound.
    let scaled = (value.as_f64()? * 10f64.powi(scale.into())).round();
    (scaled.abs() < 1e18).then_some(scaled as i128).filter(|value| fits_json(*value, scale))
}

/// Whether a decimal of these digits comes back from a JSON number as it was.
pub(crate) const fn fits_json(value: i128, scale: i8) -> bool {
    value.unsigned_abs() < EXACT_DECIMAL_BELOW && 0 <= scale && scale <= EXACT_POWER_OF_TEN
}

impl Bounds {
    /// The statistics in DataFusion's form, in which exact values may answer `count(*)`, `min` and `max`.
    pub(crate) fn statistics(&self, size: u64) -> Statistics {
        let rows = self.rows.and_then(|rows| usize::try_from(rows).ok());
        Statistics {
            num_rows: rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: usize::try_from(size).map_or(Precision::Absent, Precision::Inexact),
            column_statistics: self.columns.iter().map(ColumnBounds::statistics).collect(),
        }
    }
}

impl ColumnBounds {
    fn statistics(&self) -> ColumnStatistics {
        let side = |value: &Option<ScalarValue>| match value {
            Some(value) if self.exact => Precision::Exact(value.clone()),
            Some(value) => Precision::Inexact(value.clone()),
            None => Precision::Absent,
        };
        ColumnStatistics {
            null_count: self
                .nulls
                .and_then(|nulls| usize::try_from(nulls).ok())
                .map_or(Precision::Absent, Precision::Exact),
            min_value: side(&self.min),
            max_value: side(&self.max),
            ..ColumnStatistics::new_unknown()
        }
    }
}

/// The bounds of many files, as a pruning predicate asks for them.
pub(crate) struct FileBounds {
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<Arc<Bounds>>,
}

mod pruning {
    //! Unlike DataFusion's own adapter, inexact bounds prune as well: they enclose the values.

    use std::{collections::HashSet, sync::Arc};

    use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
    use datafusion::{
        common::{Column, pruning::PruningStatistics},
        scalar::ScalarValue,
    };

    use super::{ColumnBounds, FileBounds};

    impl FileBounds {
        fn column(
            &self,
            column: &Column,
            side: impl Fn(&ColumnBounds) -> Option<&ScalarValue>,
        ) -> Option<ArrayRef> {
            let index = self.schema.index_of(column.name()).ok()?;
            let null = ScalarValue::try_from(self.schema.field(index).data_type()).ok()?;
            let values = self.files.iter().map(|file| side(&file.columns[index]).unwrap_or(&null).clone());
            ScalarValue::iter_to_array(values).ok()
        }
    }

    impl PruningStatistics for FileBounds {
        fn min_values(&self, column: &Column) -> Option<ArrayRef> {
            self.column(column, |bounds| bounds.min.as_ref())
        }

        fn max_values(&self, column: &Column) -> Option<ArrayRef> {
            self.column(column, |bounds| bounds.max.as_ref())
        }

        fn num_containers(&self) -> usize {
            self.files.len()
        }

        fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
            let index = self.schema.index_of(column.name()).ok()?;
            let nulls = self.files.iter().map(|file| file.columns[index].nulls);
            Some(Arc::new(nulls.collect::<UInt64Array>()))
        }

        fn row_counts(&self) -> Option<ArrayRef> {
            Some(Arc::new(self.files.iter().map(|file| file.rows).collect::<UInt64Array>()))
        }

        fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
            None
        }
    }
}
