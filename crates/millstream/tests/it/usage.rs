//! Wrong calls: what is said, and exit code 2.

use crate::harness::{Folder, SMALL, assert_said};

#[test]
fn no_project_here() {
    assert_said!(Folder::empty().run(&["check"]));
}

#[test]
fn no_project_here_as_json() {
    assert_said!(Folder::empty().run(&["check", "--json"]));
}

#[test]
fn an_unknown_command_suggests_the_nearest() {
    assert_said!(Folder::empty().run(&["statsu"]));
}

#[test]
fn an_unknown_option_suggests_the_nearest() {
    assert_said!(Folder::empty().run(&["run", "--full-refesh"]));
}

#[test]
fn help_lists_the_commands() {
    assert_said!(Folder::empty().run(&["--help"]));
}

#[test]
fn a_folder_that_does_not_exist() {
    assert_said!(Folder::empty().run(&["check", "--project", "nowhere"]));
}

#[test]
fn an_unknown_environment() {
    let folder =
        Folder::with(&[("millstream.yaml", "name: small\nenvironments:\n  production: {lake: lake}\n")]);
    assert_said!(folder.run(&["check", "--environment", "producton"]));
}

#[test]
fn a_time_that_is_none() {
    assert_said!(Folder::empty().run(&["query", "select 1", "--as-of", "yesterday"]));
}

#[test]
fn too_few_rows_for_a_demo() {
    assert_said!(Folder::empty().run(&["demo", "--rows", "3"]));
}

#[test]
fn a_wrong_call_as_json_is_an_error_document() {
    let folder = Folder::with(SMALL);
    for (call, message, hint) in [
        (&["bogus", "--json"][..], "unrecognized subcommand 'bogus'", None),
        (
            &["--json", "statsu"],
            "unrecognized subcommand 'statsu'",
            Some("a similar subcommand exists: 'status'"),
        ),
        (&["--json"], "no command is given", Some("`millstream --help` lists the commands")),
        (&["query", "--json"], "the following required arguments were not provided: <SQL>", None),
        (&["rejected", "ordres", "--json"], "no table named `ordres`", Some("did you mean `orders`?")),
    ] {
        let output = folder.output(call);
        assert_eq!(output.status.code(), Some(2), "{call:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{call:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let (said, way) = (&error["error"]["message"], &error["error"]["hint"]);
        assert_eq!((said.as_str(), way.as_str()), (Some(message), hint), "{call:?}");
    }
}

#[test]
fn an_unknown_name_is_met_with_the_names_that_there_are() {
    let folder = Folder::with(SMALL);
    for (call, hint) in [
        (&["status", "ordres"][..], "did you mean `orders`?"),
        (&["status", "gold.totlas"], "did you mean `gold.totals`?"),
        (&["lineage", "total"], "did you mean the column `gold.totals.total`?"),
        (&["status", "gold"], "did you mean `gold.totals`?"),
        (&["reprocess", "something"], "there are `bronze.orders`, `gold.totals`"),
        (&["reprocess", "source:ordres"], "did you mean `bronze.orders`?"),
        (&["test", "something"], "the project has none yet"),
    ] {
        let said = folder.run(call);
        assert!(said.starts_with("exit: 2") && said.contains("MS-0805"), "{said}");
        assert!(said.contains(hint), "`{hint}` is missing in\n{said}");
    }
}

/// Numbers and addresses as people write them, and what is said of others: never a library's own words.
#[test]
fn values_that_cannot_be_read_say_what_can() {
    let calls: &[&[&str]] = &[
        &["demo", "--rows", "20X"],
        &["demo", "--rows", "2G"],
        &["demo", "--seed", "abc"],
        &["query", "select 1", "--limit", "ten"],
        &["rejected", "bronze.orders", "--examples", "-1"],
        &["serve", "--address", "http://localhost:6566"],
        &["serve", "--address", "localhost:port"],
        &["serve", "--limit", "rowz=5"],
        &["serve", "--limit", "request_time=5"],
        &["run", "--log", "loud"],
        &["run", "--select", "orders"],
        &["run", "++orders"],
    ];
    let folder = Folder::with(SMALL);
    let said: String = calls.iter().map(|call| format!("{call:?}\n{}\n", folder.run(call))).collect();
    assert!(!said.contains("invalid digit") && !said.contains("socket address"), "{said}");
    assert_said!(said);
}

#[test]
fn addresses_are_written_in_several_ways() {
    for (text, expected) in [
        ("localhost:6566", "localhost:6566"),
        ("localhost", "localhost:6566"),
        ("7000", "127.0.0.1:7000"),
        (":7000", "127.0.0.1:7000"),
        ("0.0.0.0:1", "0.0.0.0:1"),
        ("[::1]:80", "[::1]:80"),
        ("[::1]", "[::1]:6566"),
    ] {
        assert_eq!(text.parse::<millstream_cli::Address>().unwrap().to_string(), expected);
    }
    for text in ["", " ", "::1", "a:b:c", "localhost:", "localhost:99999", "[::1", "[::1]x"] {
        assert!(text.parse::<millstream_cli::Address>().is_err(), "{text}");
    }
}

#[test]
fn whole_numbers_are_written_in_several_ways() {
    use millstream_cli::human::whole_number;
    for (text, expected) in [
        ("0", 0),
        ("20M", 20_000_000),
        ("20_000_000", 20_000_000),
        ("1,000", 1_000),
        ("3k", 3_000),
        ("2G", 2_000_000_000),
    ] {
        assert_eq!(whole_number(text), Ok(expected), "{text}");
    }
    for text in ["", "M", "-1", "1.5M", "20MM", "99999999999999999999", "18446744073709551615k", "_1"] {
        assert!(whole_number(text).is_err(), "{text}");
    }
}
