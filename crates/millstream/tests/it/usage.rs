//! Wrong calls: what is said, and exit code 2.

use crate::harness::{Folder, assert_said};

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
