//! The items of `checks:`, the same for sources and tables.
//!
//! An item is a mapping with one check key, and `severity` and `name` beside it. The types below are the
//! bodies; short spellings (`not_null: [a, b]`) are told apart by the kind of the YAML value.

use std::borrow::Cow;

use millstream_types::{Percent, Severity, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::schema_text::{ColumnAddress, PatternText, PercentText, SpanText};
use crate::{
    Located, Scalar,
    decode::{OneOrMany, Written},
};

/// The keys that say what is checked: row checks, then from `row_count` on the checks on the whole table.
pub(crate) const CHECK_KINDS: [&str; 14] = [
    "not_null",
    "unique",
    "range",
    "length",
    "one_of",
    "pattern",
    "relationship",
    "expression",
    "row_count",
    "freshness",
    "completeness",
    "distinct_count",
    "mean",
    "quantile",
];

/// One item of `checks:`; only its schema is used, the loader reads items by their check key.
#[derive(Debug)]
pub(crate) struct CheckFile;

impl JsonSchema for CheckFile {
    fn schema_name() -> Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let columns = OneOrMany::<String>::json_schema(generator);
        let columns = json_schema!({"anyOf": [columns, generator.subschema_for::<ColumnsFile>()]});
        let text_or = |other: Schema| json_schema!({"anyOf": [{"type": "string"}, other]});
        json_schema!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "A name for reports, unique inside its table."},
                "severity": generator.subschema_for::<Severity>(),
                "not_null": columns,
                "unique": columns,
                "range": generator.subschema_for::<RangeCheckFile>(),
                "length": generator.subschema_for::<LengthCheckFile>(),
                "one_of": generator.subschema_for::<OneOfFile>(),
                "pattern": generator.subschema_for::<PatternFile>(),
                "relationship": generator.subschema_for::<RelationshipFile>(),
                "expression": text_or(generator.subschema_for::<ExpressionFile>()),
                "row_count": generator.subschema_for::<RowCountFile>(),
                "freshness": text_or(generator.subschema_for::<FreshnessFile>()),
                "completeness": generator.subschema_for::<CompletenessFile>(),
                "distinct_count": generator.subschema_for::<LengthCheckFile>(),
                "mean": generator.subschema_for::<MeanFile>(),
                "quantile": generator.subschema_for::<QuantileFile>(),
            },
            "oneOf": CHECK_KINDS.map(|kind| json_schema!({"required": [kind]})),
            "additionalProperties": false,
        })
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
        #[serde(default)]
        column: Option<Located<String>>,
        #[serde(default)]
        columns: Option<Vec<Located<String>>>,
    }
    /// Lowest and highest value, both allowed.
    RangeCheckFile as "RangeCheck" {
        column: Located<String>,
        #[serde(default)]
        min: Option<Located<Scalar>>,
        #[serde(default)]
        max: Option<Located<Scalar>>,
    }
    /// Lowest and highest count, both allowed.
    LengthCheckFile as "CountCheck" {
        column: Located<String>,
        #[serde(default)]
        min: Option<Located<u64>>,
        #[serde(default)]
        max: Option<Located<u64>>,
    }
    /// The values that are allowed.
    OneOfFile as "OneOfCheck" {
        column: Located<String>,
        values: Located<Vec<Located<Scalar>>>,
    }
    /// What a text looks like.
    PatternFile as "PatternCheck" {
        column: Located<String>,
        #[schemars(with = "PatternText")]
        pattern: Located<String>,
    }
    /// The value occurs in a column of another table.
    RelationshipFile as "RelationshipCheck" {
        column: Located<String>,
        #[schemars(with = "ColumnAddress")]
        to: Located<String>,
    }
    /// The long spelling of `expression`.
    ExpressionFile as "ExpressionCheck" {
        sql: Located<String>,
    }
    /// How many rows the table has.
    RowCountFile as "RowCountCheck" {
        #[serde(default)]
        min: Option<Located<u64>>,
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
        #[schemars(with = "SpanText")]
        max_age: Written<Span>,
    }
    /// Share of values that are not null.
    CompletenessFile as "CompletenessCheck" {
        column: Located<String>,
        #[schemars(with = "PercentText")]
        min: Written<Percent>,
    }
    /// Bounds of a column's mean. A table without a value in the column passes; `completeness` and `row_count` are for that.
    MeanFile as "MeanCheck" {
        column: Located<String>,
        #[serde(default)]
        min: Option<Located<f64>>,
        #[serde(default)]
        max: Option<Located<f64>>,
    }
    /// Bounds of a column's quantile.
    QuantileFile as "QuantileCheck" {
        column: Located<String>,
        /// Between 0 and 1: `0.5` is the median.
        quantile: Located<f64>,
        #[serde(default)]
        min: Option<Located<f64>>,
        #[serde(default)]
        max: Option<Located<f64>>,
    }
}
