//! `AT TIME ZONE` as PostgreSQL has it: of an instant the wall clock in the zone, of a wall clock in the zone the
//! instant. The engine's own keeps the instant in either case, so that a stored result shows nothing of the zone.

use std::{ops::ControlFlow, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, TimestampMicrosecondArray, timezone::Tz},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, plan_err},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
    sql::sqlparser::ast::{
        Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
        ObjectName, TableFactor, VisitMut,
    },
};

use crate::{
    catalog::timestamp,
    walk::{self, QueryEditor},
};

const NAME: &str = "at_time_zone";
/// A time that is longer than any gap in a wall clock.
const GAP_MAX: TimeDelta = TimeDelta::hours(25);

/// Writes each `x AT TIME ZONE y` of a parsed text as a call of the function.
pub(crate) fn rewrite<N: VisitMut>(parsed: &mut N) {
    // The editor never ends the walk early.
    let _ = walk::edit(parsed, &mut Rewrite);
}

struct Rewrite;

impl QueryEditor for Rewrite {
    fn table_factor(&mut self, _: &mut TableFactor) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::AtTimeZone { .. })
            && let Expr::AtTimeZone { timestamp, time_zone } = std::mem::replace(expr, call(Vec::new()))
        {
            let args = [*timestamp, *time_zone];
            *expr = call(args.map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).into());
        }
        ControlFlow::Continue(())
    }
}

fn call(args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(NAME)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The function that [`rewrite`] calls.
pub(crate) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AtTimeZone { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

fn wall_clock() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [time, zone] = types else { return plan_err!("AT TIME ZONE takes a timestamp and a zone") };
        let time = match time {
            DataType::Timestamp(_, Some(_)) => timestamp(),
            DataType::Timestamp(_, None)
            | DataType::Date32
            | DataType::Date64
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Null => wall_clock(),
            other => return plan_err!("AT TIME ZONE takes a timestamp, found {other}"),
        };
        match zone {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Ok(vec![time, DataType::Utf8])
            }
            other => plan_err!("AT TIME ZONE takes the name of a zone, found {other}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match types.first() {
            Some(DataType::Timestamp(_, Some(_))) => wall_clock(),
            _ => timestamp(),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let Some(Some(ScalarValue::Utf8(Some(zone)))) = args.scalar_arguments.get(1) {
            zone_named(zone)?;
        }
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(NAME, self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let to_wall_clock = *args.return_type() == wall_clock();
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [times, zones] = arrays.as_slice() else {
            return plan_err!("AT TIME ZONE takes a timestamp and a zone");
        };
        let converted = convert(times, zones, to_wall_clock)?;
        Ok(ColumnarValue::Array(cast(&converted, args.return_type())?))
    }
}

/// Converts each time from or to the zone beside it.
fn convert(times: &ArrayRef, zones: &ArrayRef, to_wall_clock: bool) -> Result<ArrayRef> {
    let (times, zones) = (times.as_primitive::<TimestampMicrosecondType>(), zones.as_string::<i32>());
    let mut known: Option<(&str, Tz)> = None;
    let mut converted = Vec::with_capacity(times.len());
    for (time, zone) in times.iter().zip(zones.iter()) {
        let (Some(time), Some(zone)) = (time, zone) else {
            converted.push(None);
            continue;
        };
        let zone = match known {
            Some((name, found)) if name == zone => found,
            _ => {
                let found = zone_named(zone)?;
                known = Some((zone, found));
                found
            }
        };
        let shifted = if to_wall_clock { wall_clock_of(time, zone) } else { instant_of(time, zone) };
        converted.push(Some(shifted.ok_or_else(|| exec_datafusion_err!("the time {time} is out of range"))?));
    }
    let converted = TimestampMicrosecondArray::from(converted);
    // A wall clock has no zone; an instant is kept in UTC.
    Ok(if to_wall_clock { Arc::new(converted) } else { Arc::new(converted.with_timezone("UTC")) })
}

fn zone_named(name: &str) -> Result<Tz, DataFusionError> {
    name.parse().map_err(|_| {
        DataFusionError::Plan(format!("`{name}` is no time zone: write one like `Europe/Berlin` or `+02:00`"))
    })
}

fn wall_clock_of(micros: i64, zone: Tz) -> Option<i64> {
    let utc = DateTime::from_timestamp_micros(micros)?.naive_utc();
    Some(
        with_offset(utc, zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())?
            .and_utc()
            .timestamp_micros(),
    )
}

/// A wall clock that shows a time twice means the second, after the clock was set back; one that skips a time means the time
/// that would be shown had it not been set forward.
fn instant_of(micros: i64, zone: Tz) -> Option<i64> {
    let local = DateTime::from_timestamp_micros(micros)?.naive_utc();
    let offset = match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => offset,
        MappedLocalTime::None => {
            zone.offset_from_local_datetime(&local.checked_sub_signed(GAP_MAX)?).earliest()?
        }
    };
    Some(with_offset(local, -offset.fix().local_minus_utc())?.and_utc().timestamp_micros())
}

fn with_offset(time: NaiveDateTime, seconds: i32) -> Option<NaiveDateTime> {
    time.checked_add_signed(TimeDelta::seconds(i64::from(seconds)))
}
