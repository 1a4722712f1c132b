//! `sum` of integers and decimals: added up in 128 bits, narrowed at the end, with an error where the total does not
//! fit. The total alone decides, so neither the order of the rows nor the parts of a query can make it fail.

use std::{fmt, marker::PhantomData, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, PrimitiveArray,
        },
        buffer::NullBuffer,
        datatypes::{
            DataType, Decimal32Type, Decimal64Type, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
        },
    },
    common::{Result, ScalarValue},
    functions_aggregate::sum::Sum,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
        SetMonotonicity, Signature,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::{AggregateOrderSensitivity, format_state_name},
    },
    physical_expr::NullState,
};

use super::{decimal_end, outgrown};

/// The type of a total while it is computed. Its 128 bits count, not its digits.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// The engine's `sum`, with an error for totals that do not fit.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(CheckedSum { engine: Sum::new() }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    engine: Sum,
}

/// Whether totals of the type are computed here. The engine adds up floats, durations and intervals.
fn is_checked(data_type: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Int64, UInt64};
    matches!(data_type, Int64 | UInt64 | Decimal32(..) | Decimal64(..) | Decimal128(..))
}

/// Calls `$make` with the Rust type of a checked sum's values.
macro_rules! by_type {
    ($data_type:expr, $make:ident) => {
        match $data_type {
            DataType::Int64 => Ok(Box::new($make::<Int64Type>::new($data_type))),
            DataType::UInt64 => Ok(Box::new($make::<UInt64Type>::new($data_type))),
            DataType::Decimal32(..) => Ok(Box::new($make::<Decimal32Type>::new($data_type))),
            DataType::Decimal64(..) => Ok(Box::new($make::<Decimal64Type>::new($data_type))),
            _ => Ok(Box::new($make::<Decimal128Type>::new($data_type))),
        }
    };
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engine.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        if !is_checked(&data_type) {
            return self.engine.accumulator(args);
        }
        if args.is_distinct {
            let values = self.engine.accumulator(args)?;
            return Ok(Box::new(DistinctTotal { values, data_type }));
        }
        by_type!(&data_type, Total)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        if !is_checked(&data_type) {
            return self.engine.create_sliding_accumulator(args);
        }
        if args.is_distinct {
            let values = self.engine.create_sliding_accumulator(args)?;
            return Ok(Box::new(DistinctTotal { values, data_type }));
        }
        by_type!(&data_type, Total)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct || !is_checked(args.return_type()) {
            return self.engine.state_fields(args);
        }
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), WIDE, true))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.engine.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type().clone();
        if !is_checked(&data_type) {
            return self.engine.create_groups_accumulator(args);
        }
        by_type!(&data_type, Totals)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.engine.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.engine.order_sensitivity()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.engine.set_monotonicity(data_type)
    }
}

/// A total as a value of the sum's type.
fn narrow<T>(total: i128, data_type: &DataType) -> Result<T::Native>
where
    T: ArrowPrimitiveType<Native: TryFrom<i128>>,
{
    let fits = decimal_end(data_type).is_none_or(|end| total.unsigned_abs() < end.unsigned_abs());
    let narrowed = T::Native::try_from(total).ok().filter(|_| fits);
    narrowed.ok_or_else(|| beyond(data_type))
}

fn beyond(data_type: &DataType) -> datafusion::error::DataFusionError {
    let named = crate::type_name::type_name(data_type);
    outgrown(format!("Overflow happened on: a sum is beyond {named}"))
}

/// The number of halves of values, of 32 bits each, that can be added up in 64 bits.
const HALVES_MAX: usize = 1 << 31;

/// The total of the values, or `None` when it has no room in 128 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half has room, and the lower half is what is asked for"
)]
fn added<V: ArrowPrimitiveType<Native: Into<i128>>>(values: &[V::Native]) -> Option<i128> {
    if size_of::<V::Native>() > size_of::<u64>() {
        return values.iter().try_fold(0_i128, |total, value| total.checked_add((*value).into()));
    }
    // The upper and the lower halves of the values are added up by themselves, several at a time.
    values.chunks(HALVES_MAX).try_fold(0_i128, |total, values| {
        let (upper, lower) = values.iter().fold((0_i64, 0_u64), |(upper, lower), value| {
            let value: i128 = (*value).into();
            (upper.wrapping_add((value >> 32) as i64), lower.wrapping_add(u64::from(value as u32)))
        });
        total.checked_add((i128::from(upper) << 32) + i128::from(lower))
    })
}

/// The total of all values, or of those in a window.
struct Total<T> {
    total: i128,
    /// The number of values in the total.
    count: u64,
    data_type: DataType,
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Total<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Total({})", self.data_type)
    }
}

impl<T: ArrowPrimitiveType<Native: Into<i128>>> Total<T> {
    fn new(data_type: &DataType) -> Self {
        Self { total: 0, count: 0, data_type: data_type.clone(), of: PhantomData }
    }

    /// The total and the number of the values in an array.
    fn counted<V: ArrowPrimitiveType<Native: Into<i128>>>(&self, values: &ArrayRef) -> Result<(i128, u64)> {
        let values = values.as_primitive::<V>();
        let total = match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => added::<V>(values.values()),
            Some(nulls) => nulls.valid_slices().try_fold(0_i128, |total, (start, end)| {
                total.checked_add(added::<V>(values.values().get(start..end)?)?)
            }),
        };
        let count = u64::try_from(values.len() - values.null_count()).unwrap_or(u64::MAX);
        Ok((total.ok_or_else(|| beyond(&self.data_type))?, count))
    }

    fn add(&mut self, (total, count): (i128, u64)) -> Result<()> {
        self.total = self.total.checked_add(total).ok_or_else(|| beyond(&self.data_type))?;
        self.count = self.count.saturating_add(count);
        Ok(())
    }
}

impl<T> Accumulator for Total<T>
where
    T: ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>> + fmt::Debug,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values.iter().try_for_each(|values| self.counted::<T>(values).and_then(|more| self.add(more)))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            let (total, count) = self.counted::<T>(values)?;
            self.total = self.total.checked_sub(total).ok_or_else(|| beyond(&self.data_type))?;
            self.count = self.count.saturating_sub(count);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = (self.count > 0).then(|| narrow::<T>(self.total, &self.data_type)).transpose()?;
        ScalarValue::new_primitive::<T>(total, &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::new_primitive::<Decimal128Type>((self.count > 0).then_some(self.total), &WIDE)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states
            .iter()
            .try_for_each(|states| self.counted::<Decimal128Type>(states).and_then(|more| self.add(more)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The total of different values: the engine collects them, and they are added up here.
#[derive(Debug)]
struct DistinctTotal {
    values: Box<dyn Accumulator>,
    data_type: DataType,
}

impl DistinctTotal {
    fn total<T>(&mut self) -> Result<ScalarValue>
    where
        T: ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>> + fmt::Debug,
    {
        let mut total = Total::<T>::new(&self.data_type);
        for state in self.values.state()? {
            if let ScalarValue::List(lists) = state {
                total.update_batch(&[Arc::clone(lists.values())])?;
            }
        }
        total.evaluate()
    }
}

impl Accumulator for DistinctTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.values.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match &self.data_type {
            DataType::Int64 => self.total::<Int64Type>(),
            DataType::UInt64 => self.total::<UInt64Type>(),
            DataType::Decimal32(..) => self.total::<Decimal32Type>(),
            DataType::Decimal64(..) => self.total::<Decimal64Type>(),
            _ => self.total::<Decimal128Type>(),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }
}

/// The totals of groups, one for each group.
struct Totals<T> {
    totals: Vec<i128>,
    /// The groups that saw a value.
    seen: NullState,
    data_type: DataType,
    of: PhantomData<fn() -> T>,
}

impl<T: ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>>> Totals<T> {
    fn new(data_type: &DataType) -> Self {
        Self { totals: Vec::new(), seen: NullState::new(), data_type: data_type.clone(), of: PhantomData }
    }

    fn add<V: ArrowPrimitiveType<Native: Into<i128>> + Send>(
        &mut self,
        values: &PrimitiveArray<V>,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        self.totals.resize(total_groups, 0);
        let (totals, mut lost) = (&mut self.totals, false);
        self.seen.accumulate(groups, values, filter, total_groups, |group, value| {
            if let Some(total) = totals.get_mut(group) {
                let (sum, left) = total.overflowing_add(value.into());
                *total = sum;
                lost |= left;
            }
        });
        if lost { Err(beyond(&self.data_type)) } else { Ok(()) }
    }

    fn emit(&mut self, emit_to: EmitTo) -> (Vec<i128>, Option<NullBuffer>) {
        (emit_to.take_needed(&mut self.totals), self.seen.build(emit_to))
    }
}

impl<T> GroupsAccumulator for Totals<T>
where
    T: ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>> + Send,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        values.iter().try_for_each(|values| {
            self.add(values.as_primitive::<T>(), group_indices, opt_filter, total_num_groups)
        })
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        states.iter().try_for_each(|states| {
            self.add(states.as_primitive::<Decimal128Type>(), group_indices, None, total_num_groups)
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (totals, nulls) = self.emit(emit_to);
        let narrowed = totals.into_iter().map(|total| narrow::<T>(total, &self.data_type));
        let values = narrowed.collect::<Result<Vec<_>>>()?;
        let values = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(values.with_data_type(self.data_type.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (totals, nulls) = self.emit(emit_to);
        Ok(vec![Arc::new(Decimal128Array::new(totals.into(), nulls).with_data_type(WIDE))])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let states = values.iter().map(|values| -> ArrayRef {
            let values = values.as_primitive::<T>();
            let kept = opt_filter
                .map(|filter| NullBuffer::from_iter(filter.iter().map(|keep| keep.unwrap_or(false))));
            let nulls = NullBuffer::union(values.nulls(), kept.as_ref());
            let wide: Vec<i128> = values.values().iter().map(|&value| value.into()).collect();
            Arc::new(Decimal128Array::new(wide.into(), nulls).with_data_type(WIDE))
        });
        Ok(states.collect())
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<i128>() + self.seen.size()
    }
}
