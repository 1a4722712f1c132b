//! Integers and decimals that outgrow their type: an error instead of a value that wrapped around.
//!
//! The engine's operators and its `sum` wrap in silence. [`Checked`] gives the operators of a plan, and [`checked`]
//! those of one expression, a form that errors; [`sum`] adds up wide and narrows at the end. Both come in after
//! analysis and before anything is folded or computed, so plans that are kept, compared or shown stay as written.

mod arithmetic;
mod digits;
mod sum;

use datafusion::{
    arrow::{datatypes::DataType, error::ArrowError},
    common::{
        DFSchema, DataFusionError, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, utils::merge_schema},
    optimizer::AnalyzerRule,
};

use crate::walk;

pub(crate) use sum::sum;

/// The rule of a session that makes the arithmetic of its plans [`checked`].
#[derive(Debug)]
pub(crate) struct Checked;

impl AnalyzerRule for Checked {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        walk::change_all_nodes(plan, &mut |node| {
            let mut computes = false;
            walk::expression_parts(&node, &mut |part| {
                computes |= operation(part).is_some() || decimal_cast(part).is_some();
                Ok(if computes { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
            if !computes {
                return Ok(Transformed::no(node));
            }
            let mut schema = merge_schema(&node.inputs());
            if let LogicalPlan::TableScan(scan) = &node {
                let source = scan.source.schema();
                schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &source)?);
            }
            node.map_expressions(|expr| Ok(Transformed::yes(checked(expr, &schema)?)))?
                .map_data(LogicalPlan::recompute_schema)
        })
    }
}

/// `expr`, whose types are coerced and whose columns are those of `schema`, with operators that error when integers
/// or decimals outgrow their type.
pub(crate) fn checked(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    walk::change_parts(expr, &mut |part| {
        if let Some((text, gives_null)) = decimal_cast(&part) {
            let is_text = text.get_type(schema).is_ok_and(|data_type| digits::is_text(&data_type));
            return Ok(match is_text {
                true => Transformed::yes(with_digits(part, gives_null)),
                false => Transformed::no(part),
            });
        }
        // Coercion gave both sides the same kind of number. Chains grow to the left, so that the right side gives its
        // type quickly.
        let asked = match &part {
            Expr::BinaryExpr(binary) if operation(&part).is_some() => &binary.right,
            Expr::Negative(inner) => inner,
            _ => return Ok(Transformed::no(part)),
        };
        let Ok(typed) = asked.get_type(schema) else { return Ok(Transformed::no(part)) };
        match part {
            Expr::BinaryExpr(binary) if typed.is_integer() || typed.is_decimal() => {
                Ok(Transformed::yes(arithmetic::operation(*binary.left, binary.op, *binary.right)))
            }
            Expr::Negative(inner) if typed.is_integer() => Ok(Transformed::yes(arithmetic::negation(*inner))),
            other => Ok(Transformed::no(other)),
        }
    })
}

/// The operator of an expression that may outgrow its type. Remainders never do, and the engine's division of
/// integers errors by itself.
fn operation(part: &Expr) -> Option<Operator> {
    match part {
        Expr::BinaryExpr(binary) => {
            let grows =
                matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide);
            grows.then_some(binary.op)
        }
        Expr::Negative(_) => Some(Operator::Minus),
        _ => None,
    }
}

/// The operand of a cast to a decimal, and whether the cast gives null for a value that does not fit.
fn decimal_cast(part: &Expr) -> Option<(&Expr, bool)> {
    match part {
        Expr::Cast(cast) if cast.field.data_type().is_decimal() => Some((&cast.expr, false)),
        Expr::TryCast(cast) if cast.field.data_type().is_decimal() => Some((&cast.expr, true)),
        // Calls of these functions become casts only when constants are folded.
        Expr::ScalarFunction(call) => {
            let gives_null = match call.name() {
                "arrow_cast" => false,
                "arrow_try_cast" => true,
                _ => return None,
            };
            let (Some(text), Some(Expr::Literal(target, _))) = (call.args.first(), call.args.get(1)) else {
                return None;
            };
            let is_decimal = target.try_as_str().flatten().is_some_and(|target| target.contains("Decimal"));
            is_decimal.then_some((text, gives_null))
        }
        _ => None,
    }
}

/// The cast, with a check of its text's length.
fn with_digits(part: Expr, gives_null: bool) -> Expr {
    match part {
        Expr::Cast(mut cast) => {
            *cast.expr = digits::bounded(*cast.expr, gives_null);
            Expr::Cast(cast)
        }
        Expr::TryCast(mut cast) => {
            *cast.expr = digits::bounded(*cast.expr, gives_null);
            Expr::TryCast(cast)
        }
        Expr::ScalarFunction(mut call) => {
            if let Some(text) = call.args.first_mut() {
                *text = digits::bounded(std::mem::take(text), gives_null);
            }
            Expr::ScalarFunction(call)
        }
        other => other,
    }
}

fn outgrown(what: String) -> DataFusionError {
    ArrowError::ArithmeticOverflow(what).into()
}

/// The engine's own error about an average in the words of this module; all other messages stay as they are.
pub(crate) fn in_words(message: &str) -> &str {
    match message {
        "Arithmetic Overflow in AvgAccumulator" => {
            "Overflow happened on: an average has more digits than its type"
        }
        other => other,
    }
}

/// What to do about an error of this module, which is recognised by the words of the message.
pub(crate) fn hint(message: &str) -> Option<String> {
    message.contains("Overflow happened on").then(|| {
        "the result needs a wider type: cast what goes into it, as in `cast(x as decimal(38, 0))` or \
         `cast(x as double)`"
            .to_owned()
    })
}

/// Ten to the power of the decimal's digits, which is the first value that it cannot hold.
fn decimal_end(data_type: &DataType) -> Option<i128> {
    match data_type {
        DataType::Decimal32(digits, _) | DataType::Decimal64(digits, _) | DataType::Decimal128(digits, _) => {
            10_i128.checked_pow(u32::from(*digits))
        }
        _ => None,
    }
}
