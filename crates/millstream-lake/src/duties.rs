//! What a table asks of its writers, and whether Millstream can do it.
//!
//! The plain protocol (writer version 2) has three duties beside the log itself: tables that only grow, invariants of
//! columns, and columns that are never null. Millstream checks no row when it writes, so it leaves such tables alone.

use arrow::datatypes::{DataType, Field, Fields};
use millstream_types::TableName;

use crate::{
    change::TableChange,
    delta::Protocol,
    error::Result,
    file::unsupported,
    snapshot::{Snapshot, WRITER_VERSION},
};

/// The setting of a table whose rows are never removed.
const APPEND_ONLY_KEY: &str = "delta.appendOnly";
/// The key of a column's metadata under which a condition for its values stands.
const INVARIANTS_KEY: &str = "delta.invariants";
/// The duties of the plain protocol, as tables name them that list their features one by one.
const PLAIN_FEATURES: [&str; 2] = ["appendOnly", "invariants"];

/// Refuses to write to a table whose writers have duties that Millstream does not know.
pub(crate) fn check_writable(table: &TableName, protocol: &Protocol) -> Result<()> {
    if protocol.min_writer_version == 7 {
        let features = protocol.writer_features.as_deref().unwrap_or_default();
        let is_foreign = |feature: &&String| !PLAIN_FEATURES.contains(&feature.as_str());
        if let Some(feature) = features.iter().find(is_foreign) {
            return Err(unsupported(table, &format!("the Delta feature `{feature}`")));
        }
    } else if protocol.min_writer_version > WRITER_VERSION {
        return Err(unsupported(table, &format!("Delta writer version {}", protocol.min_writer_version)));
    }
    Ok(())
}

/// Refuses a change of rows that the table itself forbids, or whose new rows would have to be checked. Moving rows between
/// files is always allowed.
pub(crate) fn check_change(base: &Snapshot, change: &TableChange) -> Result<()> {
    if !change.data_change {
        return Ok(());
    }
    let table = base.table();
    let append_only = base.metadata().configuration.get(APPEND_ONLY_KEY);
    if !change.remove.is_empty() && append_only.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(unsupported(table, "`delta.appendOnly` and the change removes rows"));
    }
    match first_duty(base.schema().fields(), "") {
        Some(duty) if !change.add.is_empty() => Err(unsupported(table, &duty)),
        _ => Ok(()),
    }
}

/// The first field, at any depth, whose values a writer has to check; `path` is where `fields` are.
fn first_duty(fields: &Fields, path: &str) -> Option<String> {
    fields.iter().find_map(|field| duty_of_field(field, &format!("{path}{}", field.name())))
}

fn duty_of_field(field: &Field, path: &str) -> Option<String> {
    if field.metadata().contains_key(INVARIANTS_KEY) {
        return Some(format!("an invariant of column `{path}`"));
    }
    if !field.is_nullable() {
        return Some(format!("column `{path}` that must not be null"));
    }
    match field.data_type() {
        DataType::Struct(fields) => first_duty(fields, &format!("{path}.")),
        DataType::List(element) => duty_of_field(element, &format!("{path}.element")),
        DataType::Map(entries, _) => duty_of_map(entries, path),
        _ => None,
    }
}

/// The first duty among a map's keys and values. That keys are never null holds in any map, and is no duty.
fn duty_of_map(entries: &Field, path: &str) -> Option<String> {
    let DataType::Struct(pair) = entries.data_type() else { return None };
    let (key, value) = (pair.first()?, pair.get(1)?);
    let of_key = duty_of_field(&key.as_ref().clone().with_nullable(true), &format!("{path}.key"));
    of_key.or_else(|| duty_of_field(value, &format!("{path}.value")))
}
