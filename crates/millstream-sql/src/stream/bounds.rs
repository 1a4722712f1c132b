//! The functions that stand for the bounds of windows in a plan. Those of tumbling windows are computed row by row; those of the others are only
//! marks, for which a plan over whole tables has something else ([`super::batch`]) and a pipeline its operators.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, ListBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder},
    datatypes::{DataType, Field, FieldRef, IntervalUnit, TimestampMicrosecondType},
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use millstream_stream::{PANES_MAX, Window};
use millstream_types::Span;

use crate::{SqlError, catalog::timestamp, codes};

/// The name of the function that gives all starts of the hopping windows of a time.
const STARTS: &str = "hop_starts";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WindowKind {
    Tumble,
    Hop,
    Session,
}

/// Which bound of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Start,
    End,
}

impl WindowKind {
    pub(crate) const ALL: [Self; 3] = [Self::Tumble, Self::Hop, Self::Session];

    /// The name of the function in FROM.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tumble => "tumble",
            Self::Hop => "hop",
            Self::Session => "session",
        }
    }

    /// The name of the function that stands for a bound.
    pub(crate) fn function(self, side: Side) -> &'static str {
        match (self, side) {
            (Self::Tumble, Side::Start) => "tumble_start",
            (Self::Tumble, Side::End) => "tumble_end",
            (Self::Hop, Side::Start) => "hop_start",
            (Self::Hop, Side::End) => "hop_end",
            (Self::Session, Side::Start) => "session_start",
            (Self::Session, Side::End) => "session_end",
        }
    }

    /// The number of arguments behind the table: the time and the lengths.
    pub(crate) fn arguments(self) -> usize {
        match self {
            Self::Tumble | Self::Session => 2,
            Self::Hop => 3,
        }
    }

    pub(crate) fn lengths(self) -> &'static str {
        match self {
            Self::Tumble => "the length of the windows",
            Self::Hop => "the hop and the length of the windows",
            Self::Session => "the gap that ends a session",
        }
    }

    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Tumble => "`tumble(bronze.orders, ordered_at, INTERVAL '10 seconds')`",
            Self::Hop => "`hop(bronze.orders, ordered_at, INTERVAL '1 minute', INTERVAL '5 minutes')`",
            Self::Session => "`session(bronze.orders, ordered_at, INTERVAL '30 minutes')`",
        }
    }
}

/// A bound of a window, as a plan has it.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) side: Side,
    pub(crate) window: Window,
    pub(crate) time: Expr,
}

/// The bound that the expression stands for, if it is one.
pub(crate) fn bound(expr: &Expr) -> Result<Option<Bound>> {
    let Expr::ScalarFunction(call) = unaliased(expr) else { return Ok(None) };
    let Some((kind, side)) = of_name(call.name()) else { return Ok(None) };
    let Some((time, lengths)) = call.args.split_first() else { return Ok(None) };
    let lengths: Vec<Option<&ScalarValue>> = lengths.iter().map(literal).collect();
    Ok(Some(Bound { side, window: window(kind, &lengths)?, time: time.clone() }))
}

/// The expression without the names around it.
pub(crate) fn unaliased(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// The lengths in words of the window functions' arguments: `10s`, `1m 5m`.
pub(crate) fn window_text(window: &Window) -> String {
    match window {
        Window::Tumbling { size, .. } => format!("tumbling windows of {size}"),
        Window::Hopping { size, hop, .. } => format!("windows of {size} every {hop}"),
        Window::Session { gap } => format!("sessions that end after {gap}"),
    }
}

/// All functions that stand for bounds.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let sides = [Side::Start, Side::End];
    let bounds = WindowKind::ALL.into_iter().flat_map(|kind| sides.map(|side| Role::Bound(kind, side)));
    bounds.chain([Role::Starts]).map(function).collect()
}

/// The function that gives all starts of the hopping windows of a time.
pub(crate) fn starts() -> Arc<ScalarUDF> {
    function(Role::Starts)
}

fn function(role: Role) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(WindowBound { role, signature }))
}

fn of_name(name: &str) -> Option<(WindowKind, Side)> {
    let sides = [Side::Start, Side::End];
    let mut all = WindowKind::ALL.into_iter().flat_map(|kind| sides.map(|side| (kind, side)));
    all.find(|(kind, side)| kind.function(*side) == name)
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match unaliased(expr) {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

/// The window of a function's lengths.
fn window(kind: WindowKind, lengths: &[Option<&ScalarValue>]) -> Result<Window> {
    let offset = Span::from_ms(0);
    let length = |at: usize| length(kind, lengths.get(at).copied().flatten());
    Ok(match kind {
        WindowKind::Tumble => Window::Tumbling { size: length(0)?, offset },
        WindowKind::Session => Window::Session { gap: length(0)? },
        WindowKind::Hop => {
            let (hop, size) = (length(0)?, length(1)?);
            if hop > size {
                return wrong(
                    kind,
                    format!(
                        "the hop of {hop} is longer than the window of {size}, so that rows would be in none"
                    ),
                );
            }
            let panes = size.ms().div_ceil(hop.ms());
            if panes > PANES_MAX.unsigned_abs() {
                let message = format!(
                    "a row would be in {panes} windows, and at most {PANES_MAX} are possible: make the hop longer"
                );
                return wrong(kind, message);
            }
            Window::Hopping { size, hop, offset }
        }
    })
}

fn length(kind: WindowKind, value: Option<&ScalarValue>) -> Result<Span> {
    let micros = match value {
        Some(ScalarValue::IntervalMonthDayNano(Some(interval))) if interval.months == 0 => {
            let days = i64::from(interval.days).checked_mul(86_400_000_000);
            let micros = (interval.nanoseconds % 1_000 == 0).then_some(interval.nanoseconds / 1_000);
            days.zip(micros).and_then(|(days, micros)| days.checked_add(micros))
        }
        Some(ScalarValue::IntervalDayTime(Some(interval))) => {
            let days = i64::from(interval.days).checked_mul(86_400_000_000);
            days.and_then(|days| days.checked_add(i64::from(interval.milliseconds) * 1_000))
        }
        _ => None,
    };
    let whole = micros.filter(|micros| *micros > 0 && micros % 1_000 == 0);
    match whole.and_then(|micros| u64::try_from(micros / 1_000).ok()) {
        Some(ms) => Ok(Span::from_ms(ms)),
        None => wrong(
            kind,
            format!(
                "a length of `{}` is a positive interval of days, hours, minutes, seconds or whole milliseconds",
                kind.name()
            ),
        ),
    }
}

/// The error of a window function that cannot be, which goes through the engine.
fn wrong<T>(kind: WindowKind, message: String) -> Result<T> {
    fault(message, format!("write {}", kind.example()))
}

/// An error with the code of window functions and a way out.
pub(super) fn fault<T>(message: String, hint: String) -> Result<T> {
    let (label, place, hint) = (None, None, Some(hint));
    let error = SqlError::Invalid { code: codes::WINDOW_CALL, message, place, label, hint };
    Err(DataFusionError::External(Box::new(error)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Bound(WindowKind, Side),
    Starts,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowBound {
    role: Role,
    signature: Signature,
}

impl WindowBound {
    fn kind(&self) -> WindowKind {
        match self.role {
            Role::Bound(kind, _) => kind,
            Role::Starts => WindowKind::Hop,
        }
    }
}

impl ScalarUDFImpl for WindowBound {
    fn name(&self) -> &str {
        match self.role {
            Role::Bound(kind, side) => kind.function(side),
            Role::Starts => STARTS,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let kind = self.kind();
        let Some((time, lengths)) = types.split_first().filter(|_| types.len() == kind.arguments()) else {
            return wrong(kind, format!("`{}` is written in FROM", kind.name()));
        };
        if !matches!(time, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null) {
            return wrong(kind, format!("the time of `{}` is a timestamp, found {time}", kind.name()));
        }
        let mut coerced = vec![timestamp()];
        for length in lengths {
            if !matches!(length, DataType::Interval(_)) {
                return wrong(kind, format!("a length of `{}` is an interval, found {length}", kind.name()));
            }
            coerced.push(DataType::Interval(IntervalUnit::MonthDayNano));
        }
        Ok(coerced)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.role {
            Role::Bound(..) => timestamp(),
            Role::Starts => DataType::List(Arc::new(Field::new_list_field(timestamp(), true))),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        window(self.kind(), args.scalar_arguments.get(1..).unwrap_or_default())?;
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lengths: Vec<Option<&ScalarValue>> = args.args.iter().skip(1).map(scalar).collect();
        let window = window(self.kind(), &lengths)?;
        let Some(time) = args.args.first() else { return plan_err!("a window has a time") };
        let times = time.to_array(args.number_rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let values: ArrayRef = match (self.role, window) {
            (Role::Bound(WindowKind::Tumble, side), Window::Tumbling { size, .. }) => {
                let size = micros(size);
                let bounds = times.iter().map(|time| tumbling(time?, size, side));
                Arc::new(bounds.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            (Role::Starts, Window::Hopping { size, hop, .. }) => {
                Arc::new(hopping(times, micros(size), micros(hop)))
            }
            _ => {
                return exec_err!(
                    "`{}` is written in FROM, and its rows are grouped by `window_start`",
                    self.kind().name()
                );
            }
        };
        Ok(ColumnarValue::Array(values))
    }
}

fn scalar(value: &ColumnarValue) -> Option<&ScalarValue> {
    match value {
        ColumnarValue::Scalar(value) => Some(value),
        ColumnarValue::Array(_) => None,
    }
}

pub(crate) fn micros(span: Span) -> i64 {
    i64::try_from(span.ms()).ok().and_then(|ms| ms.checked_mul(1_000)).unwrap_or(i64::MAX)
}

fn tumbling(time: i64, size: i64, side: Side) -> Option<i64> {
    let start = time.checked_sub(time.rem_euclid(size))?;
    match side {
        Side::Start => Some(start),
        Side::End => start.checked_add(size),
    }
}

/// The starts of the windows that hold each time, from the earliest on.
fn hopping(times: &TimestampMicrosecondArray, size: i64, hop: i64) -> arrow::array::ListArray {
    let values = TimestampMicrosecondBuilder::new().with_data_type(timestamp());
    let field = Arc::new(Field::new_list_field(timestamp(), true));
    let mut lists = ListBuilder::new(values).with_field(field);
    for time in times {
        if let Some(time) = time {
            let last = time - time.rem_euclid(hop);
            let before = (size - 1 - (time - last)).div_euclid(hop).max(-1);
            for back in (0..=before).rev() {
                lists.values().append_value(last - back * hop);
            }
        }
        lists.append(time.is_some());
    }
    lists.finish()
}
