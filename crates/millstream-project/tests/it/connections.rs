//! `connections/*.yaml`: what is read of them, what is wrong with them, and that their secrets go nowhere.

use millstream_project::{Diagnostic, cover, load_project_with};
use millstream_schedule::CircuitPolicy;

use crate::scratch::{PROJECT, folder, load, render, variables, write};

const SOURCE: &str =
    "connector: {type: files, connection: exports, path: a.csv}\ncontract: {columns: {a: {type: int64}}}\n";

fn check(connection: &str, source: &str, expected: &str) {
    let files = [PROJECT, ("connections/exports.yaml", connection), ("sources/s.yaml", source)];
    assert_eq!(render(&load(&files)).trim_end(), expected.trim());
}

#[test]
fn a_connection_has_a_type_and_options() {
    let connection = "type: files\ndescription: Exports\npath: data\nstorage: {aws_region: x}\n";
    let files = [PROJECT, ("connections/exports.yaml", connection), ("sources/s.yaml", SOURCE)];
    let loaded = load(&files);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    let connection = &spec.connections[0];
    assert_eq!((connection.name.as_str(), connection.kind.as_str()), ("exports", "files"));
    assert_eq!(connection.description.as_deref(), Some("Exports"));
    assert_eq!(
        connection.options.to_json(),
        serde_json::json!({"path": "data", "storage": {"aws_region": "x"}})
    );
    let source = &spec.sources[0];
    assert_eq!(source.connector.options.to_json(), serde_json::json!({"path": "a.csv"}));
    assert_eq!(spec.connection_of(source).unwrap().name, "exports");
}

#[test]
fn a_circuit_is_as_said_or_turned_off() {
    let policy = |written: &str| {
        let connection = format!("type: files\n{written}");
        let loaded = load(&[PROJECT, ("connections/exports.yaml", &connection), ("sources/s.yaml", SOURCE)]);
        assert_eq!(render(&loaded), "");
        let spec = loaded.spec.unwrap();
        let circuits: Vec<String> = spec.circuits().map(|(_, circuit)| circuit).collect();
        let CircuitPolicy { failures, within, wait, wait_max } = spec.circuit_policy("exports");
        format!("{circuits:?} {failures} {within} {wait} {wait_max}")
    };
    let usual = r#"["exports"] 5 10m 30s 10m"#;
    assert_eq!(policy(""), usual);
    assert_eq!(policy("circuit:\n"), usual);
    assert_eq!(policy("circuit: {failures: 3, wait: 10s}\n"), r#"["exports"] 3 10m 10s 10m"#);
    assert_eq!(
        policy("circuit: {failures: 1, within: 1m, wait: 2m, wait_max: 2m}\n"),
        r#"["exports"] 1 1m 2m 2m"#
    );
    assert!(policy("circuit: off\n").starts_with("[] "));
}

#[test]
fn what_is_wrong_has_its_place() {
    check(
        "path: data\n",
        SOURCE,
        "connections/exports.yaml:1:1 `` error MS-0112: `type` is missing (name the kind of connector: `type: files`)",
    );
    check(
        "type: postgres\n",
        SOURCE,
        "sources/s.yaml:1:38 `exports` error MS-0165: the connection `exports` is of type `postgres`, not `files` (name one of the source's own type, or leave `connection` out)",
    );
    check(
        "type: files\n",
        &SOURCE.replace("exports", "export"),
        "sources/s.yaml:1:38 `export` error MS-0164: there is no connection `export` (did you mean `exports`?)",
    );
    check(
        "type: files\n",
        &SOURCE.replace("connection: exports, ", ""),
        "connections/exports.yaml:1:1 `` warning MS-0166: no source uses the connection `exports` (name it in a source, `connector: {type: files, connection: exports, …}`, or remove the file)",
    );
    check(
        "type: files\npassword: \"${UNSET_ONE}\"\nuser: \"${file:none/such}\"\n",
        SOURCE,
        "connections/exports.yaml:2:12 `${UNSET_ONE}` error MS-0120: the variable `UNSET_ONE` is not set (set it, or give a default: `${UNSET_ONE:-…}`)
connections/exports.yaml:3:8 `${file:none/such}` error MS-0122: the file `none/such` cannot be read: it does not exist (put the value into the file, or give a default: `${file:none/such:-…}`)",
    );
    check(
        "type: files\ncircuit: {failures: 0, wait: 1h, wait_max: 1m}\n",
        SOURCE,
        "connections/exports.yaml:2:21 `0` error MS-0280: a circuit cannot open after 0 failures (write a number from 1 to 100, or `circuit: off`)
connections/exports.yaml:2:30 `1h` error MS-0280: `wait: 1h` is longer than `wait_max: 1m` (the first wait cannot be longer than any may be)",
    );
    check(
        "type: files\npassword: written-here\n",
        SOURCE,
        "connections/exports.yaml:2:11 `written-here` warning MS-0123: `password` stands in the file (keep it in a variable or a file of its own: `${NAME}`, `${file:/run/secrets/name}`)",
    );
}

/// A type is repeated in messages, and what a wrong variable holds may be a secret.
#[test]
fn a_type_is_written_out() {
    let refused = "error MS-0121: `type` is written out: no variable stands for it (write the kind of connector itself: `type: files`)";
    for variable in ["${PASSWORD}", "${UNSET_ONE}", "${file:none/such}", "${"] {
        let of_connection = format!("type: \"{variable}\"\n");
        let expected = format!("connections/exports.yaml:1:8 `{variable}` {refused}");
        check(&of_connection, SOURCE, &expected);
        let of_source = SOURCE.replace("type: files", &format!("type: \"{variable}\""));
        let expected = format!("sources/s.yaml:1:20 `{variable}` {refused}");
        check("type: files\n", &of_source, &expected);
    }
}

#[test]
fn what_is_wrong_between_files_does_not_repeat_what_a_variable_holds() {
    check(
        "type: files\n",
        &SOURCE.replace("exports", "\"${PASSWORD}\""),
        "sources/s.yaml:1:38 `\"${PASSWORD}\"` error MS-0164: there is no connection `${…}` (known here: exports)",
    );
}

#[test]
fn who_looks_for_tables_repeats_no_value_of_a_connection() {
    let files = [
        PROJECT,
        ("connections/exports.yaml", "type: files\npath: \"${PASSWORD}\"\n"),
        (
            "sources/s.yaml",
            "connector: {type: files, connection: exports, path: \"{table}.csv\"}\ntables: {\"*\": {}}\ncontract: {columns: {a: {type: int64}}}\n",
        ),
    ];
    let root = folder(&files);
    let options = millstream_project::LoadOptions { environment: None, variables: &variables };
    let loaded = load_project_with(root.path(), &options, &|connector, connections| {
        let path = connections[0].options.to_json()["path"].to_string();
        Err(vec![Diagnostic::error("MS-0712", format!("no {path}"), connector.options.at)])
    });
    let text = render(&loaded);
    assert!(text.contains("MS-0712: no \"${…}\"") && !text.contains("p: [x"), "{text}");
}

#[test]
fn a_password_in_an_address_stands_in_the_file_too() {
    check(
        "type: files\nurl: db://user:open-password@host\n",
        SOURCE,
        "connections/exports.yaml:2:6 `db://user:open-password@host` warning MS-0123: the password in `url` stands in the file (keep it in a variable or a file of its own: `${NAME}`, `${file:/run/secrets/name}`)",
    );
    assert_eq!(cover("refused for open-password").text, "refused for ***");
}

#[test]
fn a_connection_is_not_unused_while_a_source_cannot_be_read() {
    let files =
        [PROJECT, ("connections/exports.yaml", "type: files\n"), ("sources/s.yaml", "connector: [\n")];
    assert!(!render(&load(&files)).contains("MS-0166"));
}

#[test]
fn the_file_of_a_secret_is_read_without_its_line_end() {
    let files = [
        PROJECT,
        ("secrets/key", "first-secret/of files\r\n"),
        ("secrets/empty", ""),
        (
            "connections/exports.yaml",
            "type: files\nkey: \"<${file:secrets/key}>\"\nempty: \"${file:secrets/empty:-other}\"\nnone: \"${file:no:-default}\"\n",
        ),
        ("sources/s.yaml", SOURCE),
    ];
    let loaded = load(&files);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    let options = spec.connections[0].options.to_json();
    assert_eq!(
        options,
        serde_json::json!({"key": "<first-secret/of files>", "empty": "other", "none": "default"})
    );
    // From now on the process covers it, in whatever form a library writes it.
    for shown in ["at first-secret/of files!", "at first-secret%2Fof%20files!"] {
        assert_eq!(cover(shown).text, "at ***!");
    }
    assert!(!format!("{:?}", spec.connections).contains("first-secret"));
}

#[test]
fn files_that_hold_no_value_are_refused() {
    let root = folder(&[PROJECT, ("sources/s.yaml", "connector: {type: files, path: \"${file:x}\"}\n")]);
    for (content, reason) in [
        (vec![b'x'; 65 << 10], "it holds more than a value: it is larger than 64 KiB"),
        (vec![0xff, 0xfe], "it is not UTF-8"),
    ] {
        write(root.path(), "x", &content);
        let options = millstream_project::LoadOptions { environment: None, variables: &variables };
        let text = render(&millstream_project::load_project(root.path(), &options));
        assert!(text.contains(&format!("MS-0122: the file `x` cannot be read: {reason}")), "{text}");
    }
}

#[test]
fn a_variable_is_a_secret_where_it_stands_for_one() {
    let files = [
        PROJECT,
        (
            "connections/exports.yaml",
            "type: files\npath: \"${OPEN}\"\npassword: \"${HIDDEN}\"\nurl: \"db://${USER}:${IN_URL}@host\"\nwhole: \"${WHOLE}\"\n",
        ),
        ("sources/s.yaml", SOURCE),
    ];
    let values = |name: &str| match name {
        "OPEN" => Some("open-folder".to_owned()),
        "HIDDEN" => Some("hidden-password".to_owned()),
        "USER" => Some("user-name".to_owned()),
        "WHOLE" => Some("db://other-user:password-of-whole@host".to_owned()),
        "IN_URL" => Some("password-of-url".to_owned()),
        _ => None,
    };
    let root = folder(&files);
    let options = millstream_project::LoadOptions { environment: None, variables: &values };
    assert_eq!(render(&millstream_project::load_project(root.path(), &options)), "");
    assert_eq!(
        cover("open-folder hidden-password user-name password-of-url password-of-whole").text,
        "open-folder *** user-name *** ***"
    );
}
