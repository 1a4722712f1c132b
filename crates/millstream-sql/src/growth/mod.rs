//! Bounds on what one expression may make of its arguments: `repeat('x', 2000000000)` is a mistake or an attack, and not a
//! reason to take the machine's memory.
//!
//! Functions whose values can be larger than their arguments are wrapped: what their arguments promise is looked at before
//! they run, what they gave afterwards. Rows that are large together, though none is too large, are computed in groups.
//! `||` becomes such a function ([`Concatenations`]). Constants stay calls when they are large, because plans are copied over
//! and over, and are looked at where they would stand in each row ([`BoundConstants`]).

mod concatenation;
mod constants;

use std::{cell::Cell, hash::Hash, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    compute::{cast, concat},
    datatypes::{ArrowPrimitiveType, DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, TimeUnit},
};
use datafusion::{
    common::{DataFusionError, Result},
    config::ConfigOptions,
    logical_expr::{
        ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

pub(crate) use self::{
    concatenation::{Concatenations, concatenated},
    constants::BoundConstants,
};
use crate::{SqlError, codes};

/// The largest size of one value, in bytes.
const VALUE_BYTES_MAX: u64 = 256 << 20;
/// The largest size of the values of one batch of rows, in bytes.
const BATCH_BYTES_MAX: u64 = 1 << 30;
/// The most steps that one value may take. They take seconds, in which nothing can end the query.
const STEPS_MAX: u64 = 1_000_000_000;
/// The bytes beyond which a constant is large: standing in each row it may outgrow a batch, and so it is no literal of a
/// plan.
const CONSTANT_BYTES: usize = 64 << 10;

thread_local! {
    /// Whether this thread computes the constants of a plan.
    static IS_FOLDING: Cell<bool> = const { Cell::new(false) };
}

/// Lets `fold` compute the constants of a plan: calls that would make large ones refuse, and so stay calls.
pub(crate) fn while_folding<T>(fold: impl FnOnce() -> T) -> T {
    /// Ends the folding when it is dropped, also by a panic.
    struct Folding;
    impl Drop for Folding {
        fn drop(&mut self) {
            IS_FOLDING.set(false);
        }
    }
    IS_FOLDING.set(true);
    let _folding = Folding;
    fold()
}

/// The bytes of each row's value, estimated from the arguments of all rows; never too few by more than a factor.
type Estimate = fn(&[Argument]) -> Row;
type Row = Box<dyn Fn(usize) -> u64>;

/// What is known of a function's values before it runs.
#[derive(Clone, Copy, Debug)]
enum Growth {
    /// The sizes of the values are known.
    Exact(Estimate),
    /// The largest possible sizes of the values are known.
    AtMost(Estimate),
    /// The values hold what the arguments hold.
    Gathers,
    /// The values are small, and the number of steps that it takes to compute them is known.
    Steps(Estimate),
}

/// Functions whose values can be larger than their arguments.
const GROWING: &[(&str, Growth)] = &[
    ("repeat", Growth::Exact(|args| product(args, 0, 1))),
    ("array_repeat", Growth::Exact(|args| product(args, 0, 1))),
    ("array_resize", Growth::Exact(|args| product(args, 2, 1))),
    ("range", Growth::Exact(steps)),
    ("generate_series", Growth::Exact(steps)),
    ("concat", Growth::Exact(sum)),
    ("lpad", Growth::AtMost(|args| times(args, 1, BYTES_PER_CHARACTER))),
    ("rpad", Growth::AtMost(|args| times(args, 1, BYTES_PER_CHARACTER))),
    ("concat_ws", Growth::AtMost(separated)),
    ("replace", Growth::AtMost(replaced)),
    ("regexp_replace", Growth::AtMost(|args| both(args, 0, 2))),
    ("array_to_string", Growth::AtMost(|args| both(args, 0, 1))),
    // Base64 takes this much. Hexadecimal digits take half as much again, which the check of the result finds.
    ("encode", Growth::Exact(|args| four_thirds(args, 0))),
    ("levenshtein", Growth::Steps(|args| both(args, 0, 1))),
    ("translate", Growth::Gathers),
    ("overlay", Growth::Gathers),
    ("to_char", Growth::Gathers),
    ("string_to_array", Growth::Gathers),
    ("make_array", Growth::Gathers),
    ("array_append", Growth::Gathers),
    ("array_prepend", Growth::Gathers),
    ("array_concat", Growth::Gathers),
    ("array_union", Growth::Gathers),
    ("array_replace", Growth::Gathers),
    ("array_replace_n", Growth::Gathers),
    ("array_replace_all", Growth::Gathers),
    ("flatten", Growth::Gathers),
    ("arrays_zip", Growth::Gathers),
    ("map", Growth::Gathers),
    ("struct", Growth::Gathers),
    ("named_struct", Growth::Gathers),
];

const BYTES_PER_CHARACTER: u64 = 4;
/// The bytes that an element of a list takes at least.
const BYTES_PER_ELEMENT: u64 = 8;

/// The functions, of which those that can grow are bounded.
pub(crate) fn bounded(functions: Vec<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let bound = |function: Arc<ScalarUDF>| {
        let growing = GROWING.iter().find(|(name, _)| *name == function.name());
        match growing {
            Some((_, growth)) => Arc::new(ScalarUDF::from(Bounded { function, growth: *growth })),
            None => function,
        }
    };
    functions.into_iter().map(bound).collect()
}

/// Whether the function may make much of little, and so take long.
pub(crate) fn makes_large(function: &str) -> bool {
    GROWING.iter().any(|(name, growth)| *name == function && !matches!(growth, Growth::Gathers))
}

/// A function that refuses to make values that are too large.
#[derive(Debug)]
struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.function.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.inner().aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.function.inner().signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.function.inner().return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.inner().coerce_types(types)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // Constants that are put together here would be copied, and what a function puts in its own place would not be
        // bounded.
        if args.iter().any(is_large) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        Ok(match self.function.inner().simplify(args.clone(), context)? {
            simplified @ ExprSimplifyResult::Simplified(Expr::Literal(..) | Expr::Column(_)) => simplified,
            _ => ExprSimplifyResult::Original(args),
        })
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let function = self.function.inner().with_updated_config(config)?;
        Some(ScalarUDF::from(Self { function: Arc::new(function), growth: self.growth }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.inner().documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = if args.args.iter().any(|arg| matches!(arg, ColumnarValue::Array(_))) {
            args.number_rows
        } else {
            1
        };
        if IS_FOLDING.get() {
            self.refuse_to_fold(&args.args)?;
        }
        let groups = match self.growth {
            Growth::Exact(estimate) | Growth::AtMost(estimate) => {
                groups(self.name(), &estimate(&arguments(&args.args)?), rows)?
            }
            Growth::Steps(estimate) => {
                let steps = estimate(&arguments(&args.args)?);
                if (0..rows).any(|row| steps(row) > STEPS_MAX) {
                    return Err(too_long(self.name()));
                }
                Vec::new()
            }
            Growth::Gathers => Vec::new(),
        };
        if groups.len() <= 1 {
            let value = self.function.invoke_with_args(args)?;
            check(self.name(), &value)?;
            return Ok(value);
        }
        if matches!(self.growth, Growth::Exact(_)) {
            return Err(too_large(&values_of(self.name(), rows), BATCH_BYTES_MAX));
        }
        let (mut parts, mut total) = (Vec::with_capacity(groups.len()), 0);
        for group in groups {
            let part = self.function.invoke_with_args(slice(&args, &group))?.into_array(group.len())?;
            total += bytes(&part);
            if total > BATCH_BYTES_MAX {
                return Err(too_large(&values_of(self.name(), rows), BATCH_BYTES_MAX));
            }
            parts.push(part);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}

impl Bounded {
    /// Refuses to fold calls that are better computed while the query runs, if at all.
    fn refuse_to_fold(&self, args: &[ColumnarValue]) -> Result<()> {
        let estimate = match self.growth {
            Growth::Exact(estimate) | Growth::AtMost(estimate) | Growth::Steps(estimate) => estimate,
            Growth::Gathers => sum,
        };
        if estimate(&arguments(args)?)(0) > CONSTANT_BYTES as u64 {
            return Err(too_large(&format!("a constant of `{}`", self.name()), VALUE_BYTES_MAX));
        }
        Ok(())
    }
}

/// Whether the expression is a constant that is not to be copied.
fn is_large(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if !value.data_type().is_primitive() && value.size() > CONSTANT_BYTES)
}

/// Rows that are computed together: none has a value that is too large, and no group is larger than a batch may be, if the
/// estimates are right.
fn groups(name: &str, row: &Row, rows: usize) -> Result<Vec<Range<usize>>> {
    let (mut groups, mut start, mut together) = (Vec::new(), 0, 0_u64);
    for at in 0..rows {
        let bytes = row(at);
        if bytes > VALUE_BYTES_MAX {
            return Err(too_large(&format!("one value of `{name}`"), VALUE_BYTES_MAX));
        }
        if together + bytes > BATCH_BYTES_MAX {
            groups.push(start..at);
            (start, together) = (at, 0);
        }
        together += bytes;
    }
    groups.push(start..rows);
    Ok(groups)
}

fn slice(args: &ScalarFunctionArgs, rows: &Range<usize>) -> ScalarFunctionArgs {
    let mut part = args.clone();
    part.number_rows = rows.len();
    for arg in &mut part.args {
        if let ColumnarValue::Array(array) = arg {
            *array = array.slice(rows.start, rows.len());
        }
    }
    part
}

/// Refuses values that are too large by themselves or together.
fn check(name: &str, value: &ColumnarValue) -> Result<()> {
    match value {
        // Most scalars are numbers, which are never large and not worth an array.
        ColumnarValue::Scalar(scalar) if scalar.data_type().is_primitive() => Ok(()),
        ColumnarValue::Scalar(scalar) if scalar.size() as u64 > VALUE_BYTES_MAX => {
            Err(too_large(&format!("one value of `{name}`"), VALUE_BYTES_MAX))
        }
        ColumnarValue::Scalar(_) => Ok(()),
        ColumnarValue::Array(array) => {
            let total = bytes(array);
            if total > BATCH_BYTES_MAX {
                return Err(too_large(&values_of(name, array.len()), BATCH_BYTES_MAX));
            }
            let sizes = if total > VALUE_BYTES_MAX { sizes(array) } else { Vec::new() };
            if sizes.into_iter().any(|bytes| bytes > VALUE_BYTES_MAX) {
                return Err(too_large(&format!("one value of `{name}`"), VALUE_BYTES_MAX));
            }
            Ok(())
        }
    }
}

fn bytes(array: &ArrayRef) -> u64 {
    if matches!(array.data_type(), DataType::Utf8View | DataType::BinaryView) {
        return sizes(array).into_iter().sum();
    }
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()) as u64
}

fn values_of(name: &str, rows: usize) -> String {
    format!("the values of `{name}` in {rows} rows")
}

fn too_long(name: &str) -> DataFusionError {
    DataFusionError::External(Box::new(SqlError::Invalid {
        code: codes::EXECUTION,
        message: format!("one value of `{name}` would take more than {STEPS_MAX} steps"),
        place: None,
        label: None,
        hint: Some("compare shorter texts, for instance with `left`".into()),
    }))
}

fn too_large(what: &str, most: u64) -> DataFusionError {
    let message = format!("{what} would take more than {} MiB", most >> 20);
    let hint = "make smaller values, for instance with `substr` or `left`";
    DataFusionError::External(Box::new(SqlError::Invalid {
        code: codes::MEMORY,
        message,
        place: None,
        label: None,
        hint: Some(hint.into()),
    }))
}

/// What estimates need to know of one argument of a call.
struct Argument {
    /// The size in each row, in bytes; for a constant, one entry for all rows.
    sizes: Arc<[u64]>,
    /// The number in each row, or the time in microseconds, with one entry for a constant; 0 for other values and for
    /// null.
    numbers: Arc<[i64]>,
    /// The number of a list's elements in each row, with one entry for a constant.
    elements: Arc<[u64]>,
}

fn arguments(args: &[ColumnarValue]) -> Result<Vec<Argument>> {
    let argument = |arg: &ColumnarValue| -> Result<Argument> {
        // A text is not copied to be measured.
        if let ColumnarValue::Scalar(scalar) = arg
            && let Some(text) = scalar.try_as_str()
        {
            let size = text.map_or(0, str::len) as u64;
            return Ok(Argument { sizes: [size].into(), numbers: [0].into(), elements: [1].into() });
        }
        let array = match arg {
            ColumnarValue::Array(array) => array.clone(),
            ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(1)?,
        };
        Ok(Argument {
            sizes: sizes(&array).into(),
            numbers: numbers(&array).into(),
            elements: elements(&array).into(),
        })
    };
    args.iter().map(argument).collect()
}

/// The size of each value in bytes.
fn sizes(array: &ArrayRef) -> Vec<u64> {
    let widths = |offsets: &mut dyn Iterator<Item = (i64, i64)>, unit: u64| {
        offsets.map(|(start, end)| (end - start).unsigned_abs() * unit).collect()
    };
    match array.data_type() {
        DataType::Utf8 => widths(&mut pairs(array.as_string::<i32>().value_offsets()), 1),
        DataType::Binary => widths(&mut pairs(array.as_binary::<i32>().value_offsets()), 1),
        DataType::LargeUtf8 => widths(&mut pairs(array.as_string::<i64>().value_offsets()), 1),
        DataType::LargeBinary => widths(&mut pairs(array.as_binary::<i64>().value_offsets()), 1),
        DataType::Utf8View => array.as_string_view().lengths().map(u64::from).collect(),
        DataType::BinaryView => array.as_binary_view().lengths().map(u64::from).collect(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            widths(&mut pairs(list.value_offsets()), average(list.values()))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            widths(&mut pairs(list.value_offsets()), average(list.values()))
        }
        _ => vec![average(array); array.len()],
    }
}

fn pairs<O: Copy + Into<i64>>(offsets: &[O]) -> impl Iterator<Item = (i64, i64)> {
    offsets.iter().zip(offsets.iter().skip(1)).map(|(start, end)| ((*start).into(), (*end).into()))
}

/// The average size of a value in bytes, at least 1.
fn average(array: &ArrayRef) -> u64 {
    (bytes(array) / (array.len() as u64).max(1)).max(1)
}

fn numbers(array: &ArrayRef) -> Vec<i64> {
    let as_integers = |array: &ArrayRef| cast(array, &DataType::Int64).ok();
    let values = match array.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
            cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))
                .ok()
                .and_then(|times| as_integers(&times))
        }
        DataType::Interval(_) => {
            let intervals = array.as_primitive_opt::<IntervalMonthDayNanoType>();
            intervals.map(|intervals| {
                let micros = |interval: <IntervalMonthDayNanoType as ArrowPrimitiveType>::Native| {
                    let days = i64::from(interval.months) * DAYS_PER_MONTH + i64::from(interval.days);
                    days.saturating_mul(MICROS_PER_DAY).saturating_add(interval.nanoseconds / 1_000)
                };
                Arc::new(Int64Array::from_iter(intervals.iter().map(|value| value.map(micros)))) as ArrayRef
            })
        }
        kind if kind.is_integer() => as_integers(array),
        _ => None,
    };
    match values.as_ref().and_then(|values| values.as_primitive_opt::<Int64Type>()) {
        Some(values) => values.iter().map(Option::unwrap_or_default).collect(),
        None => vec![0; array.len()],
    }
}

/// The shortest month, so that a range is never longer than estimated.
const DAYS_PER_MONTH: i64 = 28;
const MICROS_PER_DAY: i64 = 86_400_000_000;

fn elements(array: &ArrayRef) -> Vec<u64> {
    let count = |(start, end): (i64, i64)| (end - start).unsigned_abs();
    match array.data_type() {
        DataType::List(_) => pairs(array.as_list::<i32>().value_offsets()).map(count).collect(),
        DataType::LargeList(_) => pairs(array.as_list::<i64>().value_offsets()).map(count).collect(),
        _ => vec![1; array.len()],
    }
}

/// The argument's entry for each row, where `index` is the argument; `absent` where there is no such argument.
fn each<V: Copy + 'static>(
    args: &[Argument],
    index: usize,
    absent: V,
    column: fn(&Argument) -> &Arc<[V]>,
) -> impl Fn(usize) -> V + use<V> {
    let values = args.get(index).map(|arg| column(arg).clone());
    move |row| {
        let Some(values) = &values else { return absent };
        values.get(row).or(values.first()).copied().unwrap_or(absent)
    }
}

fn size(args: &[Argument], index: usize) -> impl Fn(usize) -> u64 + use<> {
    each(args, index, BYTES_PER_ELEMENT, |arg| &arg.sizes)
}

fn number(args: &[Argument], index: usize, absent: i64) -> impl Fn(usize) -> i64 + use<> {
    each(args, index, absent, |arg| &arg.numbers)
}

/// The bytes of a value that is repeated `count` times.
fn product(args: &[Argument], value: usize, count: usize) -> Row {
    let (size, count) = (size(args, value), number(args, count, 0));
    Box::new(move |row| size(row).saturating_mul(u64::try_from(count(row)).unwrap_or(0)))
}

/// The bytes of `count` things of `bytes` bytes each.
fn times(args: &[Argument], count: usize, bytes: u64) -> Row {
    let count = number(args, count, 0);
    Box::new(move |row| bytes.saturating_mul(u64::try_from(count(row)).unwrap_or(0)))
}

/// The bytes of a range, by the number of its elements.
fn steps(args: &[Argument]) -> Row {
    let (first, second, step) = (number(args, 0, 0), number(args, 1, 0), number(args, 2, 1));
    let from_zero = args.len() == 1;
    Box::new(move |row| {
        let (start, stop) = if from_zero { (0, first(row)) } else { (first(row), second(row)) };
        let step = step(row).unsigned_abs().max(1);
        (stop.abs_diff(start) / step).saturating_mul(BYTES_PER_ELEMENT)
    })
}

/// The bytes when each byte, or each element, of one argument gets another argument beside it.
fn both(args: &[Argument], value: usize, other: usize) -> Row {
    let (bytes, other) = (size(args, value), size(args, other));
    let elements = each(args, value, 1, |arg| &arg.elements);
    let is_list = args.get(value).is_some_and(|arg| arg.elements.iter().any(|count| *count != 1));
    Box::new(move |row| {
        let places = if is_list { elements(row) } else { bytes(row).saturating_add(1) };
        places.saturating_mul(other(row)).saturating_add(bytes(row).saturating_mul(3))
    })
}

fn replaced(args: &[Argument]) -> Row {
    let (text, from, to) = (size(args, 0), size(args, 1), size(args, 2));
    Box::new(move |row| {
        let places = text(row) / from(row).max(1) + 1;
        text(row).saturating_add(places.saturating_mul(to(row).saturating_sub(from(row))))
    })
}

fn four_thirds(args: &[Argument], value: usize) -> Row {
    let size = size(args, value);
    Box::new(move |row| size(row).div_ceil(3).saturating_mul(4))
}

fn sum(args: &[Argument]) -> Row {
    let sizes: Vec<_> = (0..args.len()).map(|index| size(args, index)).collect();
    Box::new(move |row| sizes.iter().map(|size| size(row)).fold(0, u64::saturating_add))
}

fn separated(args: &[Argument]) -> Row {
    let (values, separator, gaps) = (sum(args), size(args, 0), args.len() as u64);
    Box::new(move |row| values(row).saturating_add(separator(row).saturating_mul(gaps)))
}
