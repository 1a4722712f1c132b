//! `+ - * /` and the sign of integers and decimals, as functions that error where the engine's operators wrap.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Datum},
        compute::kernels::numeric,
        datatypes::{DataType, Decimal128Type, Field, FieldRef, Int32Type, Int64Type},
        error::ArrowError,
    },
    common::{Result, internal_err},
    logical_expr::{
        ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, binary::BinaryTypeCoercer, expr::ScalarFunction,
    },
    physical_expr_common::datum::apply,
};

/// The most digits of a decimal that fits into 128 bits; with fewer, a result has room by its type.
const DIGITS_MAX: u8 = 38;

/// `left operator right`. A chain, as in `a + b - c`, is one call: nested calls would be asked for their types, names and
/// parts over and over.
pub(super) fn operation(left: Expr, operator: Operator, right: Expr) -> Expr {
    let chained = match &left {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<Checked>(),
        _ => None,
    };
    let chained = chained.map(|chain| chain.operators.clone()).filter(|operators| !operators.is_empty());
    let (mut operators, mut args) = match (chained, left) {
        (Some(operators), Expr::ScalarFunction(call)) => (operators, call.args),
        (_, left) => (Vec::new(), vec![left]),
    };
    operators.push(operator);
    args.push(right);
    call(operators, args)
}

/// The value with the other sign.
pub(super) fn negation(value: Expr) -> Expr {
    call(Vec::new(), vec![value])
}

fn call(operators: Vec<Operator>, args: Vec<Expr>) -> Expr {
    let function = Checked { operators, signature: Signature::variadic_any(Volatility::Immutable) };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), args))
}

/// Arithmetic as a function, which is written in plans and named in results like the operators for which it stands.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    /// The operators, each between two arguments; what is to the left of an operator is computed first. There is none for
    /// the sign.
    operators: Vec<Operator>,
    signature: Signature,
}

impl Checked {
    fn written(&self, args: &[Expr], text: impl Fn(&Expr) -> String) -> String {
        let Some((first, rest)) = args.split_first() else { return self.name().to_owned() };
        if self.operators.is_empty() {
            return format!("(- {})", text(first));
        }
        self.operators.iter().zip(rest).fold(text(first), |mut written, (operator, arg)| {
            written.push_str(&format!(" {operator} {}", text(arg)));
            written
        })
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.written(args, ToString::to_string))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.written(args, |arg| arg.schema_name().to_string()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some((first, rest)) = types.split_first() else {
            return internal_err!("arithmetic without arguments");
        };
        let mut found = first.clone();
        for (operator, other) in self.operators.iter().zip(rest) {
            found = BinaryTypeCoercer::new(&found, operator, other).get_result_type()?;
        }
        Ok(found)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut args = args.args.into_iter();
        let Some(mut value) = args.next() else { return internal_err!("arithmetic without arguments") };
        if self.operators.is_empty() {
            // `apply` takes two values; for the sign, the second is the first once more.
            return apply(&value, &value, |value, _| numeric::neg(value.get().0));
        }
        for (operator, other) in self.operators.iter().zip(args) {
            value = apply(&value, &other, |left, right| compute(*operator, left, right))?;
        }
        Ok(value)
    }
}

fn compute(operator: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
    if let Some(result) = quick(operator, left, right) {
        return Ok(result);
    }
    let result = match operator {
        Operator::Plus => numeric::add(left, right),
        Operator::Minus => numeric::sub(left, right),
        Operator::Multiply => numeric::mul(left, right),
        _ => numeric::div(left, right),
    }?;
    if let DataType::Decimal128(DIGITS_MAX, _) = result.data_type() {
        let values = result.as_primitive::<Decimal128Type>();
        let end = super::decimal_end(result.data_type()).unwrap_or(i128::MAX);
        // The values behind nulls are arbitrary, so a value that is too large counts only if it is not null.
        if values.values().iter().any(|value| value.unsigned_abs() >= end.unsigned_abs())
            && let Some(row) = (0..values.len())
                .find(|&row| values.is_valid(row) && values.value(row).unsigned_abs() >= end.unsigned_abs())
        {
            let text =
                format!("Overflow happened on: {} has more than {DIGITS_MAX} digits", values.value(row));
            return Err(ArrowError::ArithmeticOverflow(text));
        }
    }
    Ok(result)
}

/// The result for integers so small that nothing can overflow. It takes a fraction of the time, as results need no look.
/// `None` for larger integers and all other values.
fn quick(operator: Operator, left: &dyn Datum, right: &dyn Datum) -> Option<ArrayRef> {
    let ((left_bits, width), (right_bits, _)) = (bits(left)?, bits(right)?);
    let (needed, compute): (_, fn(&dyn Datum, &dyn Datum) -> _) = match operator {
        Operator::Plus => (left_bits.max(right_bits) + 1, numeric::add_wrapping),
        Operator::Minus => (left_bits.max(right_bits) + 1, numeric::sub_wrapping),
        // Two negative numbers may need one bit more than their bits together.
        Operator::Multiply => (left_bits + right_bits + 1, numeric::mul_wrapping),
        _ => return None,
    };
    if needed < width { compute(left, right).ok() } else { None }
}

/// The bits that the largest of the integers takes without its sign, also of those behind nulls, and the bits of their
/// type.
fn bits(values: &dyn Datum) -> Option<(u32, u32)> {
    let values = values.get().0;
    match values.data_type() {
        DataType::Int64 => Some((bits_of(values.as_primitive::<Int64Type>().values()), i64::BITS)),
        DataType::Int32 => Some((bits_of(values.as_primitive::<Int32Type>().values()), i32::BITS)),
        _ => None,
    }
}

fn bits_of<N: Copy + Into<i64>>(values: &[N]) -> u32 {
    let all = values.iter().fold(0, |all, value| {
        let value: i64 = (*value).into();
        all | (value ^ (value >> 63))
    });
    i64::BITS - all.leading_zeros()
}
