//! `||` as a function that is bounded like others. A chain, as in `a || b || c`, is one call, whose value is measured before it
//! is made.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, BooleanArray},
        buffer::NullBuffer,
        compute::{cast, nullif},
        datatypes::{DataType, Field, FieldRef},
    },
    common::{
        Result, ScalarValue, internal_err,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    functions::string::concat::ConcatFunc,
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
        ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary::BinaryTypeCoercer, expr::ScalarFunction,
        expr_rewriter::NamePreserver,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{Bounded, Growth, sum};
use crate::walk;

/// Puts the function in the place of the operator.
#[derive(Debug, Default)]
pub(crate) struct Concatenations;

impl OptimizerRule for Concatenations {
    fn name(&self) -> &'static str {
        "concatenations"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut any = false;
        walk::expression_parts(&plan, &mut |part| {
            any |= is_concatenation(part);
            Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !any {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(Transformed::yes(name.restore(concatenated(expr)?)))
        })
    }
}

fn is_concatenation(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryExpr(binary) if binary.op == Operator::StringConcat)
}

/// The expression, whose types are coerced, with the function in the place of the operator.
#[recursive::recursive]
pub(crate) fn concatenated(expr: Expr) -> Result<Expr> {
    if !is_concatenation(&expr) {
        return walk::change_children(expr, &mut |child| concatenated(child).map(Transformed::yes));
    }
    let (mut first, mut args) = (expr, Vec::new());
    while let Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) = first {
        args.push(concatenated(*right)?);
        first = *left;
    }
    args.push(concatenated(first)?);
    args.reverse();
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), args)))
}

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let concatenation = Concatenation {
        concat: ConcatFunc::new(),
        signature: Signature::variadic_any(Volatility::Immutable),
    };
    let function = Arc::new(ScalarUDF::from(concatenation));
    Arc::new(ScalarUDF::from(Bounded { function, growth: Growth::Exact(sum) }))
});

/// The operator as a function, which is written in plans and named in results like the operator.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concatenation {
    /// The engine's `concat`, which does the same but for nulls.
    concat: ConcatFunc,
    signature: Signature,
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &'static str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect::<Vec<_>>().join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some((first, rest)) = types.split_first() else { return internal_err!("nothing to concatenate") };
        rest.iter().try_fold(first.clone(), |found, other| {
            BinaryTypeCoercer::new(&found, &Operator::StringConcat, other).get_result_type()
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let data_type = args.return_type().clone();
        let mut nulls = None;
        for arg in &mut args.args {
            match arg {
                ColumnarValue::Scalar(value) if value.is_null() => {
                    return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(&data_type)?));
                }
                ColumnarValue::Scalar(_) => {}
                ColumnarValue::Array(array) => {
                    nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
                }
            }
            if matches!(arg.data_type(), DataType::FixedSizeBinary(_)) {
                *arg = arg.cast_to(&DataType::Binary, None)?;
            }
        }
        let types: Vec<_> = args.args.iter().map(ColumnarValue::data_type).collect();
        args.return_field = Arc::new(Field::new(self.name(), self.concat.return_type(&types)?, true));
        match self.concat.invoke_with_args(args)? {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(finished(array, nulls, &data_type)?)),
            scalar @ ColumnarValue::Scalar(_) => scalar.cast_to(&data_type, None),
        }
    }
}

/// The values in the wanted type; a row is null where some part is null.
fn finished(values: ArrayRef, nulls: Option<NullBuffer>, data_type: &DataType) -> Result<ArrayRef> {
    let values = match nulls.filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => nullif(&values, &BooleanArray::new(!nulls.inner(), None))?,
        None => values,
    };
    Ok(if values.data_type() == data_type { values } else { cast(&values, data_type)? })
}
