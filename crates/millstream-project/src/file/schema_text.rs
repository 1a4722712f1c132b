//! JSON Schemas of the texts with a form of their own: lengths of time, shares, column types.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! text_schema {
    ($($name:ident: $schema:tt;)*) => {$(
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

text_schema! {
    SpanText: {
        "type": "string",
        "pattern": "^\\s*[0-9]+\\s*(ms|s|m|h|d|w)\\s*$|\\$\\{",
        "examples": ["15m", "1h", "7d"]
    };
    ByteSizeText: {
        "type": ["string", "integer"],
        "pattern": "^\\s*[0-9]+\\s*(KiB|MiB|GiB|TiB|MB|GB)?\\s*$|\\$\\{",
        "examples": ["512MiB", "8GiB"]
    };
    PercentText: {
        "type": "string",
        "pattern": "^\\s*[0-9.]+\\s*%\\s*$|\\$\\{",
        "examples": ["5%", "99.5%"]
    };
    ColumnTypeText: {
        "type": "string",
        "examples": [
            "bool", "int8", "int16", "int32", "int64", "float32", "float64", "decimal(12,2)", "string", "binary",
            "date", "timestamp", "timestamp(Europe/Berlin)", "list<string>", "struct<name: string, age: int32>"
        ]
    };
    PatternText: {
        "type": "string",
        "examples": ["email", "uuid", "url", "iso_date", "ipv4", "ipv6", "json", "[A-Z]{2}[0-9]+"]
    };
    ScheduleText: {
        "type": "string",
        "examples": ["every 15m", "0 6 * * *", "0 6 * * * Europe/Berlin"]
    };
    ColumnAddress: {
        "type": "string",
        "pattern": "^[^.]+\\.[^.]+\\..+$",
        "examples": ["silver.customers.customer_id"]
    };
    ConnectorOptions: {
        "type": "object",
        "properties": {"type": {"type": "string", "description": "Which connector: `files`, …"}},
        "required": ["type"]
    };
    LeftOut: {"const": false};
    FeatureList: {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        "examples": ["churn_v1", ["orders.*", "basket_vs_average"]]
    };
    AsKnownValue: {
        "type": ["boolean", "string"],
        "examples": [true, "known_at", "2026-01-31T00:00:00Z"]
    };
    OutputValue: {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "A file or folder, relative to the project's folder."},
                    "format": {"enum": ["parquet", "delta"], "description": "By the path's ending when absent."}
                },
                "required": ["path"],
                "additionalProperties": false
            }
        ]
    };
    RowObject: {
        "type": "object",
        "description": "A row: column name to value."
    };
}
