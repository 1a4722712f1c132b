//! Collects the statistics of a file just written, from its Parquet footer, as Delta's JSON.

use arrow::datatypes::{DataType, Fields, SchemaRef, TimeUnit};
use parquet::file::{
    metadata::{ParquetMetaData, RowGroupMetaData},
    statistics::Statistics,
};
use serde_json::{Map, Number, Value};

use crate::stats::{WHOLE_TEXT_BYTES, fits_json};

/// Delta's default: statistics for the first 32 leaf columns.
const INDEXED_LEAVES: usize = 32;

/// The statistics of a file as JSON for its add action. `nan` says for each top-level column whether any value is NaN,
/// which Parquet leaves out of its minimum and maximum although queries order it above all numbers.
pub(crate) fn stats_json(schema: &SchemaRef, nan: &[bool], metadata: &ParquetMetaData) -> String {
    let mut json = Json::default();
    let mut leaf = 0;
    for (field, nan) in schema.fields().iter().zip(nan) {
        let sides = collect(field.name(), field.data_type(), *nan, metadata.row_groups(), &mut leaf, 0);
        json.insert(field.name(), sides);
    }
    let rows = metadata.file_metadata().num_rows();
    let mut stats = Map::new();
    stats.insert("numRecords".into(), rows.into());
    stats.insert("minValues".into(), Value::Object(json.min));
    stats.insert("maxValues".into(), Value::Object(json.max));
    stats.insert("nullCount".into(), Value::Object(json.nulls));
    Value::Object(stats).to_string()
}

#[derive(Default)]
struct Json {
    min: Map<String, Value>,
    max: Map<String, Value>,
    nulls: Map<String, Value>,
}

#[derive(Default)]
struct Sides {
    min: Option<Value>,
    max: Option<Value>,
    nulls: Option<Value>,
}

impl Json {
    fn insert(&mut self, name: &str, sides: Sides) {
        let maps = [(&mut self.min, sides.min), (&mut self.max, sides.max), (&mut self.nulls, sides.nulls)];
        for (map, value) in maps {
            if let Some(value) = value {
                map.insert(name.into(), value);
            }
        }
    }

    fn into_sides(self) -> Sides {
        let object = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
        Sides { min: object(self.min), max: object(self.max), nulls: object(self.nulls) }
    }
}

/// Walks the Arrow type in step with the Parquet leaves, which stand in the same order.
fn collect(
    _name: &str,
    data_type: &DataType,
    nan: bool,
    groups: &[RowGroupMetaData],
    leaf: &mut usize,
    depth: usize,
) -> Sides {
    match data_type {
        DataType::Struct(fields) => collect_struct(fields, groups, leaf, depth),
        _ if is_nested(data_type) => {
            *leaf += leaves(data_type);
            Sides::default()
        }
        _ => {
            let index = *leaf;
            *leaf += 1;
            if index >= INDEXED_LEAVES {
                return Sides::default();
            }
            let is_float = matches!(data_type, DataType::Float32 | DataType::Float64);
            // Whether a nested float is NaN is not tracked.
            let unbounded = nan || (is_float && depth > 0);
            primitive(data_type, !unbounded, groups, index)
        }
    }
}

fn collect_struct(fields: &Fields, groups: &[RowGroupMetaData], leaf: &mut usize, depth: usize) -> Sides {
    let mut json = Json::default();
    for field in fields {
        let sides = collect(field.name(), field.data_type(), false, groups, leaf, depth + 1);
        json.insert(field.name(), sides);
    }
    json.into_sides()
}

fn is_nested(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Map(..)
    )
}

fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => leaves(field.data_type()),
        _ => 1,
    }
}

fn primitive(data_type: &DataType, bounded: bool, groups: &[RowGroupMetaData], index: usize) -> Sides {
    let mut nulls: Option<u64> = Some(0);
    let mut range = Range::Empty;
    for group in groups {
        let stats = group.column(index).statistics();
        let group_nulls = stats.and_then(Statistics::null_count_opt);
        nulls = nulls.zip(group_nulls).map(|(sum, more)| sum + more);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        if group_nulls == Some(rows) {
            continue;
        }
        range = range.with(stats.and_then(|stats| bounds(stats, data_type)));
    }
    let (min, max) = match range {
        Range::Known(min, max) if bounded => (min.json(data_type), max.json(data_type)),
        _ => (None, None),
    };
    Sides { min, max, nulls: nulls.map(Value::from) }
}

#[derive(Clone, PartialEq, PartialOrd)]
enum Bound {
    Whole(i128),
    Float(f64),
    Text(String),
    Flag(bool),
}

/// The range over row groups: `Unknown` as soon as one group with values has no bounds.
enum Range {
    Empty,
    Known(Bound, Bound),
    Unknown,
}

impl Range {
    fn with(self, next: Option<(Bound, Bound)>) -> Self {
        match (self, next) {
            (_, None) | (Self::Unknown, _) => Self::Unknown,
            (Self::Empty, Some((min, max))) => Self::Known(min, max),
            (Self::Known(min, max), Some((low, high))) => {
                Self::Known(if low < min { low } else { min }, if high > max { high } else { max })
            }
        }
    }
}

fn bounds(stats: &Statistics, data_type: &DataType) -> Option<(Bound, Bound)> {
    let both = |min: Option<Bound>, max: Option<Bound>| min.zip(max);
    match stats {
        Statistics::Boolean(v) => {
            both(v.min_opt().map(|v| Bound::Flag(*v)), v.max_opt().map(|v| Bound::Flag(*v)))
        }
        Statistics::Int32(v) => {
            let whole = |v: &i32| Bound::Whole((*v).into());
            both(v.min_opt().map(whole), v.max_opt().map(whole))
        }
        Statistics::Int64(v) => {
            let whole = |v: &i64| Bound::Whole((*v).into());
            both(v.min_opt().map(whole), v.max_opt().map(whole))
        }
        Statistics::Float(v) => {
            let float = |v: &f32| Bound::Float((*v).into());
            both(v.min_opt().map(float), v.max_opt().map(float))
        }
        Statistics::Double(v) => {
            let float = |v: &f64| Bound::Float(*v);
            both(v.min_opt().map(float), v.max_opt().map(float))
        }
        Statistics::ByteArray(v) if *data_type == DataType::Utf8 => both(
            v.min_bytes_opt().and_then(|bytes| text(bytes, v.min_is_exact())),
            v.max_bytes_opt().and_then(|bytes| text(bytes, v.max_is_exact())),
        ),
        Statistics::FixedLenByteArray(v) if matches!(data_type, DataType::Decimal128(..)) => {
            both(v.min_bytes_opt().and_then(big_endian), v.max_bytes_opt().and_then(big_endian))
        }
        _ => None,
    }
}

/// A bound from the bytes of a text. It is `None` for a text that was cut and is yet so short that readers would take it
/// for a whole one. That is rare: making the largest text larger drops characters that have no next one.
fn text(bytes: &[u8], whole: bool) -> Option<Bound> {
    let text = std::str::from_utf8(bytes).ok()?;
    (whole || text.len() >= WHOLE_TEXT_BYTES).then(|| Bound::Text(text.to_owned()))
}

fn big_endian(bytes: &[u8]) -> Option<Bound> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [sign; 16];
    let start = 16usize.checked_sub(bytes.len())?;
    wide[start..].copy_from_slice(bytes);
    Some(Bound::Whole(i128::from_be_bytes(wide)))
}

impl Bound {
    /// The bound as JSON; `None` when JSON cannot carry it without loss.
    fn json(&self, data_type: &DataType) -> Option<Value> {
        match (self, data_type) {
            (Self::Flag(flag), _) => Some(Value::Bool(*flag)),
            (Self::Text(text), _) => Some(Value::String(text.clone())),
            (Self::Float(value), _) => Number::from_f64(*value).map(Value::Number),
            (Self::Whole(value), DataType::Decimal128(_, scale)) => decimal(*value, *scale),
            (Self::Whole(value), DataType::Date32) => {
                let days = chrono::TimeDelta::try_days(i64::try_from(*value).ok()?)?;
                let date = chrono::NaiveDate::default().checked_add_signed(days)?;
                // Other readers do not parse years with a sign.
                let plain = (0..=9999).contains(&chrono::Datelike::year(&date));
                plain.then(|| Value::String(date.format("%Y-%m-%d").to_string()))
            }
            (Self::Whole(value), DataType::Timestamp(TimeUnit::Microsecond, _)) => timestamp(*value),
            (Self::Whole(value), _) => i64::try_from(*value).ok().map(Value::from),
        }
    }
}

/// An instant as JSON, cut to milliseconds as the protocol asks; readers make up for the cut by widening the maximum.
fn timestamp(micros: i128) -> Option<Value> {
    let millis = i64::try_from(micros.div_euclid(1000)).ok()?;
    let time = chrono::DateTime::from_timestamp_millis(millis)?;
    let plain = (0..=9999).contains(&chrono::Datelike::year(&time));
    plain.then(|| Value::String(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
}

#[allow(clippy::cast_precision_loss)]
fn decimal(value: i128, scale: i8) -> Option<Value> {
    if scale == 0 {
        return i64::try_from(value).ok().map(Value::from);
    }
    if !fits_json(value, scale) {
        return None;
    }
    // Division is correctly rounded, so the shortest text of the result is the decimal itself.
    Number::from_f64(value as f64 / 10f64.powi(scale.into())).map(Value::Number)
}
