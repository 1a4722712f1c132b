//! The identity of a plan's meaning.

use std::fmt::Write as _;

use arrow::datatypes::Schema;
use datafusion::{
    common::{ScalarValue, tree_node::TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan},
};
use millstream_types::Fingerprint;

use crate::walk;

/// The version of the canonical text. It changes with the way the text is made, so that every table is rebuilt then.
const FORMAT: &str = "millstream plan 1";

/// BLAKE3 over a canonical text of the plan and the schema of its result. The text comes from the plan, so
/// comments, spaces, the case of keywords and unquoted names leave no trace in it.
pub(crate) fn fingerprint(plan: &LogicalPlan, schema: &Schema) -> Fingerprint {
    let mut canonical = String::with_capacity(2048);
    canonical.push_str(FORMAT);
    // Writing into a string cannot fail, nor can the walk.
    let _ = walk::all_nodes(plan, &mut |node| {
        let _ = write!(canonical, "\n{}:{}", node.inputs().len(), node.display());
        if let LogicalPlan::Join(join) = node {
            let _ = write!(canonical, " {:?} {}", join.null_equality, join.null_aware);
        }
        let _ = walk::expressions(node, &mut |expr| {
            write_expression(expr, matches!(node, LogicalPlan::Values(_)), &mut canonical);
            Ok(TreeNodeRecursion::Continue)
        });
        Ok(TreeNodeRecursion::Continue)
    });
    for field in schema.fields() {
        let _ = write!(canonical, "\n{} {}", field.name(), field.data_type());
    }
    Fingerprint::new(*blake3::hash(canonical.as_bytes()).as_bytes())
}

/// Adds to the text what a node's display leaves out: rows of VALUES beyond the first five, bytes of binary values, and
/// the length of texts, whose quotes are not escaped.
fn write_expression(expr: &Expr, whole: bool, canonical: &mut String) {
    if whole {
        let _ = write!(canonical, "\n={expr}");
    }
    let _ = walk::parts(expr, &mut |part| {
        if let Expr::Literal(value, _) = part {
            let _ = match value {
                ScalarValue::Binary(Some(bytes))
                | ScalarValue::LargeBinary(Some(bytes))
                | ScalarValue::BinaryView(Some(bytes)) => write!(canonical, "\n#{}", blake3::hash(bytes)),
                ScalarValue::Utf8(Some(text)) => write!(canonical, "\n#{}", text.len()),
                _ => Ok(()),
            };
        }
        Ok(TreeNodeRecursion::Continue)
    });
}
