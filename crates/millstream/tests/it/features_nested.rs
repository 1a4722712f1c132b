//! Lists and structs as features: a training set, a read after a materialisation, and a read after a push agree.

use serde_json::{Value, json};

use crate::{
    dataset::build,
    features_rows::{column, read_parquet, texts},
    harness::Folder,
    serve_process::Server,
};

const SOURCE: &str = "\
connector: {type: files, path: data/*.jsonl}
contract:
  columns:
    id: {type: int64}
    at: {type: timestamp}
    tags: {type: \"list<string>\"}
    place: {type: \"struct<city: string, sizes: list<int64>>\"}
";

const FEATURES: &str = "\
entity: {name: e, key: id}
views:
  v:
    from: bronze.e
    time: at
    features:
      tags: {column: tags}
      place: {last: place}
      first_tags: {first: tags}
      two: {last_k: {column: tags, k: 2}}
      known: {count: tags}
      kinds: {distinct: tags}
      places: {approx_distinct: place, window: 30d}
services: {s: [v.*]}
";

const ROWS: &str = r#"{"id": 1, "at": "2026-01-01T00:00:00Z", "tags": ["a", null], "place": {"city": "Ulm", "sizes": [1, 2]}}
{"id": 1, "at": "2026-01-02T00:00:00Z", "tags": [], "place": null}
{"id": 1, "at": "2026-01-03T00:00:00Z", "tags": ["a", null], "place": {"city": null, "sizes": null}}
{"id": 2, "at": "2026-01-01T00:00:00Z", "tags": null, "place": {"city": "Köln", "sizes": []}}
"#;

#[test]
fn lists_and_structs_are_features_like_others() {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: nested\n"),
        ("sources/e.yaml", SOURCE),
        ("features/e.yaml", FEATURES),
        ("datasets/d.yaml", "labels: {file: labels.csv, entity: e, time: at}\nfeatures: s\n"),
        ("labels.csv", "id,at\n1,2026-01-10T00:00:00Z\n2,2026-01-10T00:00:00Z\n3,2026-01-10T00:00:00Z\n"),
        ("data/1.jsonl", ROWS),
    ]);
    folder.stdout(&["run"]);
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    let read = || {
        let body = json!({"service": "s", "entities": {"id": [1, 2, 3]}, "at": "2026-01-10T00:00:00Z", "metadata": "none"});
        let columns = server.post("/v1/features/read", &body).good()["columns"].clone();
        move |name: &str| columns[name]["values"].clone()
    };
    let online = read();
    let expected: [(&str, Value); 7] = [
        ("v.tags", json!([["a", null], null, null])),
        ("v.place", json!([{"city": null, "sizes": null}, {"city": "Köln", "sizes": []}, null])),
        ("v.first_tags", json!([["a", null], null, null])),
        ("v.two", json!([[["a", null], []], null, null])),
        ("v.known", json!([3, 0, 0])),
        ("v.kinds", json!([2, 0, 0])),
        ("v.places", json!([2, 1, 0])),
    ];
    for (name, values) in &expected {
        assert_eq!(online(name), *values, "{name}");
    }
    let row = json!({"id": [1], "at": ["2026-01-04T00:00:00Z"], "tags": [["b"]], "place": [{"city": "Bonn", "sizes": [3]}]});
    server.push("v", &row, "online_and_offline").good();
    let pushed = read();
    let check = |read: &dyn Fn(&str) -> Value, when: &str| {
        assert_eq!(read("v.tags")[0], json!(["b"]), "{when}");
        assert_eq!(read("v.place")[0], json!({"city": "Bonn", "sizes": [3]}), "{when}");
        assert_eq!(read("v.two")[0], json!([["b"], ["a", null]]), "{when}");
        assert_eq!(read("v.kinds")[0], json!(3), "{when}");
    };
    check(&pushed, "pushed");
    server.post("/v1/features/materialize", &json!({})).good();
    check(&read(), "in the lake");
    server.stop();
    let built = build(&folder, &["d"]);
    let rows = read_parquet(std::path::Path::new(built["path"].as_str().unwrap()));
    let of = |name: &str| texts(&column(&rows, name))[0].clone();
    assert_eq!(of("v.tags").as_deref(), Some("[b]"));
    assert_eq!(of("v.place").as_deref(), Some("{city: Bonn, sizes: [3]}"));
    assert_eq!(of("v.kinds").as_deref(), Some("3"));
}
