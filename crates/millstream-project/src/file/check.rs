//! The items of `checks:`, the same for sources and tables.
//!
//! An item is a mapping with one check key, and `severity` and `name` beside it. The types below are the
//! bodies; short spellings (`not_null: [a, b]`) are told apart by the kind of the YAML value.

use std::borrow::Cow;

use millstream_types::{Percent, Severity, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    described,
    schema_text::{ColumnAddress, PatternText, PercentText, SpanText},
    words,
};
use crate::{
    Located, Scalar,
    decode::{OneOrMany, Written},
};

/// The keys that say what is checked, and what each demands: row checks, then from `row_count` on the checks on the
/// whole table.
const CHECKS: [(&str, &str); 14] = [
    ("not_null", "Row check: the value is there."),
    ("unique", "Row check: no two rows of the whole table agree in all these columns; the first one stays."),
    (
        "range",
        "Row check: the value lies between two bounds, both allowed. A contract's column takes it as `range: [0, 100000]`.",
    ),
    ("length", "Row check: how many characters a text has, or elements a list."),
    ("one_of", "Row check: the value is one of a few."),
    (
        "pattern",
        "Row check: the whole text fits a regular expression, or a named pattern: `email`, `uuid`, `url`, `iso_date`, `ipv4`, `ipv6`, `json`.",
    ),
    ("relationship", "Row check: the value occurs in a column of another table."),
    ("expression", "Row check: a SQL condition over the row; false fails, null passes."),
    (
        "row_count",
        "Table check: how many rows the table has, and by how much their number may change between versions.",
    ),
    ("freshness", "Table check: the newest row is not older than this."),
    ("completeness", "Table check: the share of values that are there."),
    ("distinct_count", "Table check: how many different values a column has."),
    ("mean", "Table check: the mean of a column."),
    ("quantile", "Table check: a quantile of a column, `0.5` being the median."),
];

/// The keys that say what is checked.
pub(crate) const CHECK_KINDS: [&str; 14] = words(CHECKS);

/// One item of `checks:`; only its schema is used, the loader reads items by their check key.
#[derive(Debug)]
pub(crate) struct CheckFile;

impl JsonSchema for CheckFile {
    fn schema_name() -> Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = serde_json::Map::new();
        let name = "A name for reports, unique inside its table; kind and columns when absent.";
        properties.insert("name".into(), described(json_schema!({"type": "string"}), name));
        let severity = "What happens when the check fails. `on_violation` of the contract or the table when absent, `halt` for a table check; table checks cannot quarantine.";
        properties.insert("severity".into(), described(generator.subschema_for::<Severity>(), severity));
        for (kind, about) in CHECKS {
            properties.insert(kind.into(), described(body(kind, generator), about));
        }
        json_schema!({
            "type": "object",
            "properties": properties,
            "oneOf": CHECK_KINDS.map(|kind| json_schema!({"required": [kind]})),
            "additionalProperties": false,
        })
    }
}

/// What a check's key holds.
fn body(kind: &str, generator: &mut SchemaGenerator) -> Schema {
    let text_or = |other: Schema| json_schema!({"anyOf": [{"type": "string"}, other]});
    match kind {
        "not_null" | "unique" => {
            let columns = OneOrMany::<String>::json_schema(generator);
            json_schema!({"anyOf": [columns, generator.subschema_for::<ColumnsFile>()]})
        }
        "range" => generator.subschema_for::<RangeCheckFile>(),
        "length" | "distinct_count" => generator.subschema_for::<LengthCheckFile>(),
        "one_of" => generator.subschema_for::<OneOfFile>(),
        "pattern" => generator.subschema_for::<PatternFile>(),
        "relationship" => generator.subschema_for::<RelationshipFile>(),
        "expression" => text_or(generator.subschema_for::<ExpressionFile>()),
        "row_count" => generator.subschema_for::<RowCountFile>(),
        "freshness" => text_or(generator.subschema_for::<FreshnessFile>()),
        "completeness" => generator.subschema_for::<CompletenessFile>(),
        "mean" => generator.subschema_for::<MeanFile>(),
        _ => generator.subschema_for::<QuantileFile>(),
    }
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident as $title:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = $title)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $type,)*
        }
    )*};
}

bodies! {
    /// The long spelling of `not_null` and `unique`.
    ColumnsFile as "ColumnsCheck" {
        /// One column.
        #[serde(default)]
        column: Option<Located<String>>,
        /// Several columns.
        #[serde(default)]
        columns: Option<Vec<Located<String>>>,
    }
    /// Lowest and highest value, both allowed.
    RangeCheckFile as "RangeCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// Lowest value that is allowed; none without it.
        #[serde(default)]
        min: Option<Located<Scalar>>,
        /// Highest value that is allowed; none without it.
        #[serde(default)]
        max: Option<Located<Scalar>>,
    }
    /// Lowest and highest count, both allowed.
    LengthCheckFile as "CountCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// Lowest number that is allowed.
        #[serde(default)]
        min: Option<Located<u64>>,
        /// Highest number that is allowed.
        #[serde(default)]
        max: Option<Located<u64>>,
    }
    /// The values that are allowed.
    OneOfFile as "OneOfCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// The values that are allowed.
        values: Located<Vec<Located<Scalar>>>,
    }
    /// What a text looks like.
    PatternFile as "PatternCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// A named pattern, or a regular expression that matches the whole text.
        #[schemars(with = "PatternText")]
        pattern: Located<String>,
    }
    /// The value occurs in a column of another table.
    RelationshipFile as "RelationshipCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// Where the value must occur: `schema.table.column`.
        #[schemars(with = "ColumnAddress")]
        to: Located<String>,
    }
    /// The long spelling of `expression`.
    ExpressionFile as "ExpressionCheck" {
        /// A SQL condition over the row's columns.
        sql: Located<String>,
    }
    /// How many rows the table has.
    RowCountFile as "RowCountCheck" {
        /// Fewest rows that are allowed.
        #[serde(default)]
        min: Option<Located<u64>>,
        /// Most rows that are allowed.
        #[serde(default)]
        max: Option<Located<u64>>,
        /// Highest change against the version before; passes when there is none, or when it was empty.
        #[serde(default)]
        #[schemars(with = "Option<PercentText>")]
        change: Option<Written<Percent>>,
    }
    /// Age of the newest row, judged by the clock at each run. A table without a value in the column passes.
    FreshnessFile as "FreshnessCheck" {
        /// The column that says when a row happened; the contract's `time` when absent.
        #[serde(default)]
        column: Option<Located<String>>,
        /// Highest age of the newest row.
        #[schemars(with = "SpanText")]
        max_age: Written<Span>,
    }
    /// Share of values that are not null.
    CompletenessFile as "CompletenessCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// Lowest share of values that are not null.
        #[schemars(with = "PercentText")]
        min: Written<Percent>,
    }
    /// Bounds of a column's mean. A table without a value in the column passes; `completeness` and `row_count` are for that.
    MeanFile as "MeanCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// Lowest mean that is allowed.
        #[serde(default)]
        min: Option<Located<f64>>,
        /// Highest mean that is allowed.
        #[serde(default)]
        max: Option<Located<f64>>,
    }
    /// Bounds of a column's quantile.
    QuantileFile as "QuantileCheck" {
        /// The column that is judged.
        column: Located<String>,
        /// Between 0 and 1: `0.5` is the median.
        quantile: Located<f64>,
        /// Lowest value of the quantile that is allowed.
        #[serde(default)]
        min: Option<Located<f64>>,
        /// Highest value of the quantile that is allowed.
        #[serde(default)]
        max: Option<Located<f64>>,
    }
}
