//! `init`: projects that are right from the first moment.

use crate::harness::{Folder, assert_said};

#[test]
fn blank_is_a_valid_project() {
    let folder = Folder::empty();
    assert_said!(folder.run(&["init", "--path", "project"]));
    let checked = folder.json(&["check", "--project", "project", "--json"]);
    assert_eq!(checked["problems"], serde_json::json!([]));
}

#[test]
fn shop_is_a_valid_project() {
    let folder = Folder::empty();
    assert_said!(folder.run(&["init", "shop", "--path", "shop"]));
    let checked = folder.run(&["check", "--project", "shop"]);
    assert!(checked.starts_with("exit: 0"), "{checked}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = Folder::with(&[("README.md", "mine\n")]);
    assert_said!(folder.run(&["init"]));
    assert!(!folder.path().join("millstream.yaml").exists());
    assert_eq!(std::fs::read_to_string(folder.path().join("README.md")).unwrap(), "mine\n");
}

#[test]
fn an_unknown_template_suggests_the_nearest() {
    assert_said!(Folder::empty().run(&["init", "shoop"]));
}
