//! `partition` and `parameters` of a table: what goes together, and values of their types.

use millstream_schedule::{Calendar, PartitionGrain};

use super::Context;
use crate::{
    CheckKind, CheckSpec, Located, Location, Node, NodeKind, ParameterSpec, PartitionBy, PartitionSpec,
    codes,
    file::{MaterializeFile, ParameterFile, PartitionFile, PartitionWord, TableFile},
};

const EXAMPLE: &str = "write `partition: {by: day, column: ordered_at}`";

/// The most parameters of one table.
const PARAMETERS_MAX: usize = 64;

/// Reads `partition` where it is a mapping; a word belongs to `incremental` with `time`.
pub(super) fn partition(context: &Context<'_>, file: &TableFile) -> Option<PartitionSpec> {
    let node = file.partition.as_ref().filter(|node| !matches!(node.kind, NodeKind::Text(_)))?;
    if !matches!(node.kind, NodeKind::Map(_)) {
        let message = format!("expected partitions, found {}", node.describe());
        context.error(codes::WRONG_KIND, message, node.at, EXAMPLE);
        return None;
    }
    let written: PartitionFile = context.faults.decode(node)?;
    let way = file.materialize.as_ref().map_or(MaterializeFile::Table, |way| way.value);
    if let Some((why, hint)) = refusal(way) {
        context.error(codes::WRONG_PARTITION, format!("`partition` has no meaning for {why}"), node.at, hint);
        return None;
    }
    let by = by(context, &written)?;
    let from = match (&written.from, by) {
        (None, _) => None,
        (Some(from), PartitionBy::Value) => {
            let hint = "remove it: only partitions of time come one after the other";
            context.error(codes::WRONG_PARTITION, "`from` has no meaning for `by: value`", from.at, hint);
            return None;
        }
        (Some(from), PartitionBy::Time(calendar)) => Some(begin(context, from, &calendar)?),
    };
    Some(PartitionSpec { at: node.at, by, column: written.column, from })
}

/// Refuses checks that compare a table with its earlier versions: partitions come and go with their rows.
pub(super) fn judge_checks(context: &Context<'_>, partition: Option<&PartitionSpec>, checks: &[CheckSpec]) {
    let compares = |check: &&CheckSpec| matches!(check.kind, CheckKind::RowCount { change_max: Some(_), .. });
    for check in checks.iter().filter(|_| partition.is_some()).filter(compares) {
        let message = "`row_count` of a table with partitions counts the rows of each partition, which has no count before it";
        context.error(codes::WRONG_PARTITION, message, check.at, "use `min` and `max`");
    }
}

/// Why a table that is kept so has no partitions, and what to do about it.
fn refusal(way: MaterializeFile) -> Option<(&'static str, &'static str)> {
    match way {
        MaterializeFile::Table | MaterializeFile::Stream => None,
        MaterializeFile::View => Some((
            "a view",
            "use `materialize: table`: nothing of a view is stored, so nothing of it is parted",
        )),
        MaterializeFile::History => Some((
            "a history",
            "remove it, or part a table that reads the history: past states cannot be computed a second time",
        )),
        MaterializeFile::Incremental => Some((
            "an incremental table",
            "use `materialize: table`: a table with partitions computes only those whose inputs have changed",
        )),
    }
}

fn by(context: &Context<'_>, file: &PartitionFile) -> Option<PartitionBy> {
    let grain = match file.by.value {
        PartitionWord::Hour => PartitionGrain::Hour,
        PartitionWord::Day => PartitionGrain::Day,
        PartitionWord::Week => PartitionGrain::Week,
        PartitionWord::Month => PartitionGrain::Month,
        PartitionWord::Year => PartitionGrain::Year,
        PartitionWord::Value => {
            if let Some(zone) = &file.zone {
                let hint = "remove it: only days have a time zone";
                context.error(codes::WRONG_PARTITION, "`zone` has no meaning for `by: value`", zone.at, hint);
                return None;
            }
            return Some(PartitionBy::Value);
        }
    };
    if let Some(zone) = file.zone.as_ref().filter(|_| grain == PartitionGrain::Hour) {
        let hint = "remove it: hours begin at the same instants whatever the clock shows";
        context.error(codes::WRONG_PARTITION, "`zone` has no meaning for `by: hour`", zone.at, hint);
        return None;
    }
    match Calendar::new(grain, file.zone.as_ref().map(|zone| zone.value.as_str())) {
        Ok(calendar) => Some(PartitionBy::Time(calendar)),
        Err(error) => {
            let at = file.zone.as_ref().map_or(file.by.at, |zone| zone.at);
            context.error(codes::WRONG_PARTITION, error.to_string(), at, error.hint());
            None
        }
    }
}

fn begin(context: &Context<'_>, node: &Node, calendar: &Calendar) -> Option<Located<i64>> {
    let Some(text) = plain(node) else {
        let message = format!("expected a time, found {}", node.describe());
        context.error(codes::WRONG_KIND, message, node.at, "write `from: 2024-01-01`");
        return None;
    };
    match calendar.parse(&text) {
        Ok(number) => Some(Located::new(number, node.at)),
        Err(error) => {
            context.error(codes::WRONG_PARTITION, error.to_string(), node.at, error.hint());
            None
        }
    }
}

/// Reads `parameters`, of which each has a type and a value of it.
pub(super) fn parameters(context: &Context<'_>, file: &TableFile) -> Vec<ParameterSpec> {
    let Some(node) = &file.parameters else { return Vec::new() };
    if file.materialize.as_ref().is_some_and(|way| way.value == MaterializeFile::View) {
        let message = "`parameters` on a view: whoever reads it would have to say their values";
        context.error(codes::WRONG_PARAMETER, message, node.at, "use `materialize: table`");
        return Vec::new();
    }
    if !matches!(node.kind, NodeKind::Map(_)) {
        let message = format!("expected parameters by their names, found {}", node.describe());
        context.error(
            codes::WRONG_KIND,
            message,
            node.at,
            "write `parameters: {rate: {type: float64, default: 1.0}}`",
        );
        return Vec::new();
    }
    if node.entries().len() > PARAMETERS_MAX {
        let message = format!("more than {PARAMETERS_MAX} parameters");
        context.error(
            codes::WRONG_PARAMETER,
            message,
            node.at,
            "keep values that are often changed in a table",
        );
    }
    let entries = node.entries().iter().take(PARAMETERS_MAX);
    entries.filter_map(|(name, value)| parameter(context, name, value)).collect()
}

fn parameter(context: &Context<'_>, name: &Located<String>, node: &Node) -> Option<ParameterSpec> {
    let mut letters = name.value.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if !is_name {
        let message = format!("`{name}` cannot be the name of a parameter");
        let hint = "use lower-case letters, digits and `_`; the SQL writes it as `$rate`";
        context.error(codes::WRONG_PARAMETER, message, name.at, hint);
        return None;
    }
    let file: ParameterFile = context.faults.decode(node)?;
    let column_type = file.column_type.value.0.clone();
    if !ParameterSpec::takes(&column_type) {
        let message = format!("a parameter cannot be a {column_type}");
        let hint = "use `bool`, `int64`, `float64`, `string` or `date`, and cast it in the SQL";
        context.error(codes::WRONG_PARAMETER, message, file.column_type.at, hint);
        return None;
    }
    let mut spec =
        ParameterSpec { name: name.clone(), column_type: column_type.clone(), default: String::new() };
    let Some(text) = plain(&file.default) else {
        let message = format!("expected a value of type {column_type}, found {}", file.default.describe());
        context.error(codes::WRONG_KIND, message, file.default.at, "write `default: 1.0`");
        return None;
    };
    match spec.value(&text) {
        Ok(value) => spec.default = value,
        Err(message) => {
            let at: Location = file.default.at;
            context.error(codes::WRONG_PARAMETER, message, at, "the value has to be one of the type");
            return None;
        }
    }
    Some(spec)
}

/// The text of a value that is no list and no mapping.
fn plain(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Bool(value) => Some(value.to_string()),
        NodeKind::Int(value) => Some(value.to_string()),
        NodeKind::Float(_, text) | NodeKind::Text(text) => Some(text.clone()),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => None,
    }
}
