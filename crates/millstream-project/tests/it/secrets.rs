//! What is covered of a text that people see, and where the rest is then.

use millstream_project::{HiddenValues, cover};

use crate::scratch::load;

fn check(text: &str, expected: &str) {
    assert_eq!(cover(text).text, expected);
}

#[test]
fn credentials_of_urls_are_covered() {
    check("state: postgres://u:hunter2@h/db", "state: postgres://***@h/db");
    check("online: \"redis://:p@ss@cache:6379/0\"", "online: \"redis://***@cache:6379/0\"");
    check("redis://u:p/a?s#s@cache", "redis://***@cache");
    check("redis://u:1/a@cache:80", "redis://u:1/a@cache:80");
    check("https://ghp_token@host/a.csv", "https://***@host/a.csv");
    check("a POSTGRES://a:b@c and mysql://d:e@f?x=g@h", "a POSTGRES://***@c and mysql://***@f?x=g@h");
    check("https://h/a?sv=1&sig=abc%2F&se=2", "https://h/a?sv=1&sig=***&se=2");
    check("rediss://ü:ö@host", "rediss://***@host");
}

#[test]
fn keys_of_stores_are_covered() {
    check(
        "storage: {aws_access_key_id: AKIA1, aws_secret_access_key: \"hunter/2\", aws_region: x}",
        "storage: {aws_access_key_id: AKIA1, aws_secret_access_key: \"***\", aws_region: x}",
    );
    check("  azure_storage_account_key: abc==\n  google: y", "  azure_storage_account_key: ***\n  google: y");
    check("{\"password\": \"p\"}", "{\"password\": \"***\"}");
}

#[test]
fn what_is_no_credential_stays() {
    for text in [
        "redis://:${PASSWORD}@cache",
        "postgres://user:${PASSWORD}@host/db",
        "aws_secret_access_key: ${AWS_SECRET}",
        "password: {type: string}",
        "abfss://container@account.dfs.core.windows.net/a",
        "http://localhost:8080/a@b",
        "s3://bucket/a@b.csv",
        "SELECT access_key::text, a.password FROM b WHERE secret = 'x'",
        "mail a@b.org",
        "struct<a: string>",
    ] {
        check(text, text);
    }
}

#[test]
fn a_default_of_a_variable_is_a_credential() {
    check("redis://:${PASSWORD:-hunter2}@cache", "redis://***@cache");
}

#[test]
fn places_move_with_what_was_covered() {
    let text = "a: postgres://user:password@host/db b";
    let covered = cover(text);
    let moved = |part: &str| {
        let at = covered.offset(text.find(part).unwrap());
        covered.text[at..].to_owned()
    };
    assert_eq!(moved("a: "), covered.text);
    assert_eq!(moved("user"), "***@host/db b");
    assert_eq!(moved("password"), "***@host/db b");
    assert_eq!(moved("@host"), "@host/db b");
    assert_eq!(moved("b"), moved("b"));
    assert_eq!(covered.offset(text.len()), covered.text.len());
}

#[test]
fn values_of_variables_are_not_repeated() {
    let loaded =
        load(&[("millstream.yaml", "name: shop\nenvironments: {default: {lake: \"${PASSWORD}://a\"}}\n")]);
    let hidden: HiddenValues = loaded.hidden;
    assert_eq!(format!("{hidden:?}"), "HiddenValues { count: 1 }");
    let mut diagnostic = millstream_project::Diagnostic::error_without_place("MS-0712", "no `p: [x` here")
        .with_hint("p: [x")
        .with_label("p: [x");
    hidden.hide(&mut diagnostic);
    assert_eq!(diagnostic.message, "no `${…}` here");
    assert_eq!(diagnostic.hint.as_deref(), Some("${…}"));
    assert_eq!(diagnostic.label.as_deref(), Some("${…}"));
}

#[test]
fn of_two_values_of_which_one_begins_with_the_other_nothing_is_repeated() {
    let files = [
        ("millstream.yaml", "name: shop\n"),
        ("connections/c.yaml", "type: files\na: \"${SHORT}\"\nb: \"${LONG}\"\n"),
    ];
    let values = |name: &str| match name {
        "SHORT" => Some("value".to_owned()),
        _ => Some("value-and-more".to_owned()),
    };
    let root = crate::scratch::folder(&files);
    let options = millstream_project::LoadOptions { environment: None, variables: &values };
    let hidden = millstream_project::load_project(root.path(), &options).hidden;
    let mut diagnostic = millstream_project::Diagnostic::error_without_place("MS-0712", "no value-and-more");
    hidden.hide(&mut diagnostic);
    assert_eq!(diagnostic.message, "no ${…}");
}
