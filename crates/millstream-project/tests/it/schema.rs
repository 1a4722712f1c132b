//! The JSON Schemas describe what the loader reads.

use millstream_project::{CODES, json_schemas};
use serde_json::json;

#[test]
fn schemas_name_every_key_and_take_the_connectors_options() {
    let options = json!({
        "type": "object",
        "properties": {"path": {"type": "string", "description": "Where."}},
        "required": ["path"]
    });
    let schemas = json_schemas(&[("files", options.clone())], &[("files", options)]);
    let names: Vec<&str> = schemas.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "millstream.schema.json",
            "source.schema.json",
            "table.schema.json",
            "test.schema.json",
            "features.schema.json",
            "dataset.schema.json",
            "connection.schema.json"
        ]
    );
    let source = &schemas[1].1;
    let connector = &source["$defs"]["Connector"]["oneOf"][0];
    assert_eq!(connector["properties"]["type"], json!({"const": "files", "description": "Which connector."}));
    assert_eq!(connector["required"], json!(["type", "path"]));
    assert_eq!(source["additionalProperties"], json!(false));
    assert_eq!(source["required"], json!(["connector"]));
    assert_eq!(source["anyOf"], json!([{"required": ["contract"]}, {"required": ["tables"]}]));
    assert!(connector["properties"]["connection"]["description"].is_string());
    let connection = &schemas[6].1["oneOf"][0];
    assert_eq!(connection["required"], json!(["type", "path"]));
    let checks = &source["$defs"]["Contract"]["properties"]["checks"];
    assert_eq!(checks["items"], json!({"$ref": "#/$defs/Check"}));
    assert!(source["$defs"]["Check"]["properties"]["quantile"].is_object());
    insta::assert_snapshot!(serde_json::to_string_pretty(&schemas).unwrap());
}

#[test]
fn references_inside_the_schemas_resolve() {
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                found.extend(map.get("$ref").and_then(|to| to.as_str()).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    for (name, schema) in
        json_schemas(&[("files", json!({"type": "object"}))], &[("files", json!({"type": "object"}))])
    {
        let mut found = Vec::new();
        references(&schema, &mut found);
        for reference in found {
            assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{name}: {reference}");
        }
    }
}

#[test]
fn every_property_says_what_it_is_and_every_schema_has_a_name() {
    fn silent(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    silent(value, &format!("{path}/{key}"), found);
                }
                let properties = map.get("properties").and_then(|properties| properties.as_object());
                let is_silent = |property: &serde_json::Value| {
                    property["description"].as_str().is_none_or(|text| text.trim().is_empty())
                };
                let of = properties.into_iter().flatten().filter(|(_, property)| is_silent(property));
                found.extend(of.map(|(key, _)| format!("{path}/properties/{key}")));
            }
            serde_json::Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    silent(item, &format!("{path}/{index}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (name, schema) in
        json_schemas(&[("files", json!({"type": "object"}))], &[("files", json!({"type": "object"}))])
    {
        silent(&schema, name, &mut found);
        assert_eq!(schema["$id"], json!(format!("urn:millstream:schema:{name}")));
    }
    assert!(found.is_empty(), "properties without a description: {found:#?}");
}

#[test]
fn codes_are_ascending_and_explained() {
    assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
    let is_ours = |code: &str| code.starts_with("MS-01") || code.starts_with("MS-02");
    assert!(CODES.iter().all(|code| is_ours(code.code) && !code.explanation.is_empty()));
}
