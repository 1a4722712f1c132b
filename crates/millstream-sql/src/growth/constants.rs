//! Large constants: each row of a batch would hold one, so they are looked at before they stand there.

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        DataFusionError, Result, ScalarValue,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    logical_expr::{
        ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr_rewriter::NamePreserver,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{BATCH_BYTES_MAX, Bounded, check, is_large, too_large};
use crate::walk;

/// Puts a check around constants that are large, or were too large to be computed while the query was planned.
#[derive(Debug, Default)]
pub(crate) struct BoundConstants;

impl OptimizerRule for BoundConstants {
    fn name(&self) -> &'static str {
        "bound_constants"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let (mut any, mut is_done) = (false, false);
        walk::expression_parts(&plan, &mut |part| {
            any |= is_large(part) || (grows(part) && is_constant(part)?);
            // An earlier pass of this rule was here.
            is_done |= matches!(part, Expr::ScalarFunction(call) if call.func.name() == CHECK);
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !any || is_done {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(Transformed::yes(name.restore(guarded(expr)?)))
        })
    }
}

/// The expression with a check around each constant that is or may be large.
#[recursive::recursive]
fn guarded(expr: Expr) -> Result<Expr> {
    if is_large(&expr) || (is_constant(&expr)? && grows_within(&expr)?) {
        return Ok(checked(expr));
    }
    walk::change_children(expr, &mut |child| guarded(child).map(Transformed::yes))
}

/// Whether the part is a call that may not have been computed, because its value is large.
fn grows(part: &Expr) -> bool {
    matches!(part, Expr::ScalarFunction(call) if call.func.inner().downcast_ref::<Bounded>().is_some())
}

fn grows_within(expr: &Expr) -> Result<bool> {
    walk::any_part(expr, &mut grows)
}

/// Whether the expression has one value for all rows.
fn is_constant(expr: &Expr) -> Result<bool> {
    let varies = walk::any_part(expr, &mut |part| match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Volatile,
        Expr::Literal(..)
        | Expr::Alias(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::BinaryExpr(_)
        | Expr::Negative(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Like(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Case(_) => false,
        _ => true,
    })?;
    Ok(!varies)
}

/// The name of the function that checks. No query can call it: it is in no session.
const CHECK: &str = "checked_constant";

/// The expression with a check. Because the check is volatile, the constant is not folded once more.
fn checked(expr: Expr) -> Expr {
    let check = Check { signature: Signature::any(1, Volatility::Volatile) };
    ScalarUDF::from(check).call(vec![expr])
}

/// A function that gives its argument, unless that is too large.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Check {
    signature: Signature,
}

impl ScalarUDFImpl for Check {
    fn name(&self) -> &'static str {
        CHECK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(|| DataFusionError::Internal("nothing to check".into()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        args.arg_fields.first().cloned().ok_or_else(|| DataFusionError::Internal("nothing to check".into()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows as u64;
        let value = args.args.into_iter().next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null));
        if let ColumnarValue::Scalar(scalar) = &value
            && (scalar.size() as u64).saturating_mul(rows) > BATCH_BYTES_MAX
        {
            return Err(too_large(&format!("a constant in {rows} rows"), BATCH_BYTES_MAX));
        }
        check(CHECK, &value)?;
        Ok(value)
    }
}
