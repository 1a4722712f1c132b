//! Connections of files: where the paths of sources start, and which tables are found behind them.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use millstream_connector::{
    BuildContext, ConnectionConfig, Connections, ConnectorFactory, NamedConnection, OptionProblem,
};
use millstream_connectors::FilesFactory;
use serde_json::{Value, json};

use crate::folder::Folder;

fn connection(options: &Value) -> Result<Arc<dyn ConnectionConfig>, Vec<OptionProblem>> {
    FilesFactory.connection().unwrap().validate(options)
}

fn told(problems: &[OptionProblem]) -> Vec<String> {
    let told = |problem: &OptionProblem| format!("{}: {}", problem.path.join("."), problem.message);
    problems.iter().map(told).collect()
}

/// What is wrong with a source of a connection.
fn problems(base: &Value, options: &Value) -> Vec<String> {
    let config = connection(base).unwrap();
    let named = NamedConnection { name: "exports", config: &*config };
    told(&FilesFactory.validate(options, Some(named)).err().unwrap_or_default())
}

#[test]
fn options_of_connections_are_judged() {
    let check = |options: Value, expected: &[&str]| {
        assert_eq!(told(&connection(&options).err().unwrap_or_default()), expected, "{options}");
    };
    check(json!({"path": "exports"}), &[]);
    check(json!({"path": "/mnt/exports/"}), &[]);
    check(json!({"path": "s3://bucket", "storage": {"aws_region": "x"}}), &[]);
    check(json!({"path": "https://host/exports"}), &[]);
    check(
        json!({"pth": "x", "storage": {"a": []}}),
        &["storage.a: `a` must be a single value", "pth: unknown option `pth`", ": `path` is missing"],
    );
    check(json!({"path": "exports/*"}), &["path: the path of a connection has no wildcards"]);
    check(
        json!({"path": "exports", "storage": {"aws_region": "x"}}),
        &["storage.aws_region: unknown storage option `aws_region`"],
    );
    check(json!({"path": "s4://b"}), &["path: `s4://` is not a place that files can be read from"]);
}

#[test]
fn a_source_goes_on_where_its_connection_ends() {
    let base = json!({"path": "s3://bucket/exports"});
    assert_eq!(problems(&base, &json!({"path": "orders/*.csv"})), Vec::<String>::new());
    for path in ["s3://other/*.csv", "/orders/*.csv", "../orders/*.csv"] {
        assert_eq!(
            problems(&base, &json!({"path": path})),
            ["path: the path does not start at the connection `exports`"],
            "{path}"
        );
    }
    assert_eq!(
        problems(&base, &json!({"path": "a.csv", "storage": {"aws_region": "x"}})),
        ["storage: `storage` belongs to the connection"]
    );
    assert_eq!(
        problems(&json!({"path": "https://host"}), &json!({"path": "*.csv"})),
        ["path: a web address cannot have wildcards"]
    );
}

#[tokio::test]
async fn sources_read_through_their_connection() {
    let folder = Folder::new();
    folder.write("exports/orders/1.csv", b"a\n1\n");
    for base in ["exports", "./exports/"] {
        let config = connection(&json!({"path": base})).unwrap();
        let named = NamedConnection { name: "exports", config: &*config };
        let options = json!({"path": "orders/*.csv", "settle": 0});
        let source = FilesFactory.validate(&options, Some(named)).unwrap();
        let connections =
            Arc::new(Connections::new(BTreeMap::from([("exports".to_owned(), config.clone())])));
        let context = BuildContext { connections, ..BuildContext::new(folder.dir.path().to_owned()) };
        let found = source.build(&context).unwrap().discover(&[]).await.unwrap();
        let parts: Vec<&str> = found.parts.iter().map(|part| part.id.as_str()).collect();
        assert_eq!(parts, ["exports/orders/1.csv"], "{base}");
    }
}

#[test]
fn clients_are_shared_and_show_no_secret() {
    let storage = json!({"aws_access_key_id": "someone", "aws_secret_access_key": "hunter-three"});
    let config = connection(&json!({"path": "s3://bucket", "storage": storage})).unwrap();
    let named = NamedConnection { name: "exports", config: &*config };
    let source = FilesFactory.validate(&json!({"path": "a/*.csv"}), Some(named)).unwrap();
    let connections = Arc::new(Connections::new(BTreeMap::from([("exports".to_owned(), config.clone())])));
    let context = BuildContext { connections, ..BuildContext::new(".".into()) };
    let connector = source.build(&context).unwrap();
    for shown in [format!("{config:?}"), format!("{context:?}"), format!("{connector:?}")] {
        assert!(!shown.contains("hunter-three") && !shown.contains("someone"), "{shown}");
    }
    // Nobody reads with a connection that the project does not have.
    let error = source.build(&BuildContext::new(".".into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no connection `exports`");
}

fn tables(root: &Path, options: &Value) -> Result<Vec<String>, String> {
    FilesFactory.tables(options, None, root).map_err(|problem| told(&[problem]).join(""))
}

#[test]
fn tables_are_what_the_path_can_mean() {
    let folder = Folder::new();
    for file in [
        "d/orders/1.csv",
        "d/orders/2.csv",
        "d/order_items/1.csv",
        "d/Names of 2026/1.csv",
        "d/.hidden/1.csv",
        "d/empty/readme.txt",
        "f/orders-2026-01.csv",
        "f/orders-2026-02.csv",
        "f/people-2026-01.csv",
        "f/people.json",
        "g/orders.csv",
        "e/orders/orders.csv",
        "e/people/other.csv",
    ] {
        folder.write(file, b"a\n1\n");
    }
    let check = |path: &str, expected: &[&str]| {
        let found = tables(folder.dir.path(), &json!({"path": path}));
        assert_eq!(found, Ok(expected.iter().map(|name| (*name).to_owned()).collect()), "{path}");
    };
    check("d/{table}/*.csv", &["Names of 2026", "order_items", "orders"]);
    check("./d/{table}/1.csv", &["Names of 2026", "order_items", "orders"]);
    check("f/{table}-*.csv", &["orders", "people"]);
    check("{table}/orders.csv", &["g"]);
    check("g/{table}.csv", &["orders"]);
    check("d/{table}/{table}.csv", &[]);
    check("e/{table}/{table}.csv", &["orders"]);
}

#[test]
fn what_cannot_be_looked_for_is_said() {
    let folder = Folder::new();
    folder.write("d/a/1.csv", b"a\n1\n");
    let check = |path: &str, expected: &str| {
        assert_eq!(tables(folder.dir.path(), &json!({"path": path})), Err(expected.to_owned()), "{path}");
    };
    check("s3://b/{table}/*.csv", "path: tables cannot be looked for in another place than a local folder");
    check("d/*.csv", "path: the path does not say where the table's name stands");
    check("*/{table}/*.csv", "path: tables are looked for only where `{table}` is the first that is open");
    check("h/{table}-x.csv", "path: `h` cannot be read: No such file or directory (os error 2)");
}
