//! Recorded states under a definition that gives a column another type: a history keeps what it recorded, so
//! each recorded value must have the same meaning in the new type.

use std::sync::Arc;

use datafusion::{
    arrow::{
        compute::can_cast_types,
        datatypes::{DataType, Field, Schema},
        util::display::{ArrayFormatter, FormatOptions},
    },
    catalog::TableProvider,
    common::Result,
    datasource::provider_as_source,
    logical_expr::{Expr, LogicalPlan, Operator, binary_expr, try_cast},
};
use futures::TryStreamExt;
use millstream_query::QueryRuntime;

use super::{
    columns::{self, column, positional},
    cover::first_row,
    error::IncrementalError,
    evaluation::run,
    inputs::scan_of,
};
use crate::{schema::storable_type, type_name::type_name};

/// Errors with the first recorded value that would change by becoming a value of `schema`.
pub(super) async fn check(
    runtime: &dyn QueryRuntime,
    recorded: &Arc<dyn TableProvider>,
    schema: &Schema,
) -> Result<()> {
    let stored = recorded.schema();
    for field in schema.fields() {
        let Ok(found) = stored.field_with_name(field.name()) else { continue };
        if storable_type(field.data_type()).as_ref() == Some(found.data_type()) {
            continue;
        }
        if let Some(value) = first_lost(runtime, recorded, found, field.data_type()).await? {
            let to = type_name(field.data_type());
            return Err(IncrementalError::RetypedStates { column: field.name().clone(), value, to }.into());
        }
    }
    Ok(())
}

/// A value of the recorded column `found` that is not the same in the type `to`.
async fn first_lost(
    runtime: &dyn QueryRuntime,
    recorded: &Arc<dyn TableProvider>,
    found: &Field,
    to: &DataType,
) -> Result<Option<String>> {
    let scan = scan_of("recorded", provider_as_source(Arc::clone(recorded)))?;
    let Some(at) = scan.schema().index_of_column_by_name(None, found.name()) else { return Ok(None) };
    let value = column(scan.schema(), at);
    let lost = columns::filter(scan, vec![is_lost(&value, found.data_type(), to)])?;
    let lost: LogicalPlan = first_row(positional(lost, "v", vec![value])?)?;
    let mut rows = run(runtime, lost).await?;
    while let Some(batch) = rows.try_next().await? {
        if batch.num_rows() > 0 {
            let options = FormatOptions::default().with_null("null");
            return Ok(Some(ArrayFormatter::try_new(batch.column(0), &options)?.value(0).to_string()));
        }
    }
    Ok(None)
}

/// Whether the value is lost in the new type. A text may be written in many ways, so it is lost only where it is no value
/// of the type at all. Any other value must come back unchanged when it is cast to the new type and back.
fn is_lost(value: &Expr, from: &DataType, to: &DataType) -> Expr {
    if !can_cast_types(from, to) {
        return value.clone().is_not_null();
    }
    let there = try_cast(value.clone(), to.clone());
    let is_text = matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if is_text || !columns::comparable(from) || !can_cast_types(to, from) {
        return value.clone().is_not_null().and(there.is_null());
    }
    binary_expr(try_cast(there, from.clone()), Operator::IsDistinctFrom, value.clone())
}
