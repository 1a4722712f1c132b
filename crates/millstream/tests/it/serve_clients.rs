//! Other programs as clients of a server of the shop: the Python package of this repository, and Feast's own SDK.

use std::{path::Path, process::Command};

use crate::{
    harness::{Folder, given},
    serve_process::{Server, assert_quiet},
};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python");
const FEAST_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/feast_sdk.py");

fn shop() -> Folder {
    let folder = Folder::empty();
    folder.stdout(&["demo", "--once", "--rows", "3000", "--path", "."]);
    folder
}

fn assert_passes(command: &mut Command, folder: &Folder) {
    let output = command.current_dir(folder.path()).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{failed}");
}

#[test]
fn the_python_package_reads_pushes_and_queries() {
    let suite = "the Python package against a server";
    let Some(python) =
        given("MILLSTREAM_TEST_PYTHON", suite, "no Python with httpx, pandas, polars and pytest")
    else {
        return;
    };
    let folder = shop();
    let server = Server::start(&folder);
    let client = Path::new(CLIENT);
    let mut pytest = Command::new(python);
    pytest
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir"])
        .arg(client)
        .arg(client.join("tests"))
        .env("PYTHONPATH", client.join("src"))
        .env("MILLSTREAM_TEST_URL", server.url());
    assert_passes(&mut pytest, &folder);
    server.stop();
    assert_quiet(&folder);
}

#[test]
fn feast_s_own_sdk_writes_reads_and_materialises() {
    let suite = "Feast's SDK against a server";
    let Some(python) = given("MILLSTREAM_TEST_FEAST", suite, "no Python with feast") else { return };
    let folder = shop();
    let server = Server::start(&folder);
    assert_passes(Command::new(python).arg(FEAST_SCRIPT).arg(server.url()), &folder);
    server.stop();
    assert_quiet(&folder);
}
