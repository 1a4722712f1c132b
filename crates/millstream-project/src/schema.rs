//! JSON Schemas of the project's files, for editors and the generated reference.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::file::{
    CircuitValue, DatasetFile, FeaturesFile, ProjectFile, SourceFile, TableFile, TestFile, TestsFile,
};

/// What the schemas' `$id`s begin with: names that never change, and no address at which anything answers.
const ID_BASE: &str = "urn:millstream:schema:";

/// The schemas by file name. `connectors` are the kinds of connectors with the schemas of their options, `connections`
/// those kinds that have connections, with the schemas of their connections.
#[must_use]
pub fn json_schemas(
    connectors: &[(&str, Value)],
    connections: &[(&str, Value)],
) -> Vec<(&'static str, Value)> {
    let mut source = schema::<SourceFile>();
    if !connectors.is_empty() {
        let branches = connectors.iter().map(|(kind, options)| {
            let mut branch = branch(kind, options, "Which connector.");
            if connections.iter().any(|(with_connection, _)| with_connection == kind) {
                branch["properties"]["connection"] = json!({
                    "type": "string",
                    "description": "The connection through which it reads: the name of a file of `connections/`."
                });
            }
            branch
        });
        source["$defs"]["Connector"] = one_of(branches);
        source["properties"]["connector"] =
            json!({"$ref": "#/$defs/Connector", "description": "Which connector, and its options."});
    }
    let tests = schema::<TestsFile>();
    let mut test = schema::<TestFile>();
    let mut definitions = test.get_mut("$defs").map(Value::take).unwrap_or_else(|| json!({}));
    if let (Some(all), Some(more)) =
        (definitions.as_object_mut(), tests.get("$defs").and_then(Value::as_object))
    {
        all.extend(more.clone());
    }
    let either = json!({
        "$schema": test.get("$schema").cloned().unwrap_or_default(),
        "title": "Tests",
        "description": "One test, or several under `tests`.",
        "anyOf": [without_head(test), without_head(tests)],
        "$defs": definitions,
    });
    let mut schemas = vec![
        ("millstream.schema.json", schema::<ProjectFile>()),
        ("source.schema.json", source),
        ("table.schema.json", schema::<TableFile>()),
        ("test.schema.json", either),
        ("features.schema.json", schema::<FeaturesFile>()),
        ("dataset.schema.json", schema::<DatasetFile>()),
        ("connection.schema.json", connection(connections)),
    ];
    schemas.iter_mut().for_each(|(name, schema)| name_schema(schema, name));
    schemas
}

/// Gives the schema its `$id`, right after `$schema`.
fn name_schema(schema: &mut Value, file: &str) {
    let Some(all) = schema.as_object_mut() else { return };
    let mut named = serde_json::Map::new();
    named.extend(all.shift_remove_entry("$schema"));
    named.insert("$id".into(), format!("{ID_BASE}{file}").into());
    named.append(all);
    *all = named;
}

fn schema<T: JsonSchema>() -> Value {
    // The schema describes what may be written, so keys with a default are not required.
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// A schema that is about to become part of another.
fn without_head(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.shift_remove("$schema");
        object.shift_remove("$defs");
    }
    schema
}

fn connection(connections: &[(&str, Value)]) -> Value {
    let branches = connections.iter().map(|(kind, options)| {
        let mut branch = branch(kind, options, "Which kind of connector makes something of the connection.");
        branch["properties"]["description"] =
            json!({"type": ["string", "null"], "description": "What the connection leads to."});
        branch["properties"]["concurrency"] = json!({
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "How many steps read through it at once under `millstream serve`; no bound of its own when absent."
        });
        branch["properties"]["retry_budget"] = json!({
            "type": ["string", "null"],
            "description": "How many attempts of steps that read through it may follow on failed ones within an hour, as in `60/h`; only the project's budget counts when absent."
        });
        branch["properties"]["circuit"] = without_head(schema::<CircuitValue>());
        branch
    });
    let mut schema = one_of(branches);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Connection".into();
    schema["description"] = "A named way into an outside system, which sources share.".into();
    schema
}

/// A schema with one branch for each kind, told apart by `type`.
fn one_of(branches: impl Iterator<Item = Value>) -> Value {
    json!({"oneOf": branches.collect::<Vec<_>>()})
}

fn branch(kind: &str, options: &Value, about: &str) -> Value {
    let mut branch = options.clone();
    if !branch.is_object() {
        branch = json!({"type": "object"});
    }
    branch["type"] = json!("object");
    branch["title"] = json!(kind);
    if branch.get("properties").is_none() {
        branch["properties"] = json!({});
    }
    branch["properties"]["type"] = json!({"const": kind, "description": about});
    let mut required = branch.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    required.insert(0, json!("type"));
    branch["required"] = Value::Array(required);
    branch
}
