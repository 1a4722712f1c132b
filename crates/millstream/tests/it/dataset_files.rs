//! The files of a dataset's versions: replaced, damaged, taken away, written elsewhere, and moved with their project.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    dataset::build,
    features_small::{desk, write_labels},
    harness::Folder,
    serve_process::Server,
};

const LABEL: &str = "ann 2026-01-02T10:00:00Z 2 true\n";

fn path(built: &Value) -> PathBuf {
    built["path"].as_str().unwrap().into()
}

/// The version that was built, and whether it stood before.
fn version(built: &Value) -> (i64, bool) {
    (built["version"].as_i64().unwrap(), built["unchanged"].as_bool().unwrap())
}

/// What the list says of each version's file.
fn listed(folder: &Folder) -> Vec<Value> {
    let list = folder.json(&["dataset", "list", "--json"]);
    list["datasets"].as_array().unwrap().iter().map(|one| one["file"].clone()).collect()
}

#[test]
fn a_version_whose_file_a_later_build_replaced_is_not_answered_with_the_later_rows() {
    let folder = desk(LABEL);
    let definition = fs::read_to_string(folder.path().join("datasets/desk.yaml")).unwrap();
    folder.write("datasets/desk.yaml", &format!("{definition}output: exports/desk.parquet\n"));
    build(&folder, &["desk"]);
    write_labels(&folder, "2", "bob 2026-01-02T11:00:00Z 2 true\n");
    folder.stdout(&["run"]);
    assert_eq!(version(&build(&folder, &["desk"])), (2, false));

    assert_eq!(listed(&folder), ["changed", "present"]);
    assert!(folder.stdout(&["dataset", "list"]).contains("exports/desk.parquet holds something else"));
    let said = folder.run(&["dataset", "diff", "desk@1", "desk"]);
    assert!(
        said.contains("MS-0735") && said.contains("`desk@1`") && !said.contains("cannot be built"),
        "{said}"
    );
    let server = Server::start(&folder);
    let (status, code, message) = server.get("/v1/datasets/desk?version=1").refusal();
    assert_eq!((status, code.as_str()), (410, "MS-0735"), "{message}");
    assert!(!message.contains("exports"), "{message}");
    for path in ["/v1/datasets/desk", "/v1/datasets/desk?version=2"] {
        let newest = server.get(path);
        assert_eq!((newest.status, newest.header("x-millstream-version")), (200, Some("2")));
        assert_eq!(newest.body, fs::read(folder.path().join("exports/desk.parquet")).unwrap());
    }
}

/// Checks that a file which `harm` changes gets the given state in the list, and that the next build mends it.
fn check_mended(harm: impl Fn(&Path), state: &str) {
    let folder = desk(LABEL);
    let first = build(&folder, &["desk"]);
    let bytes = fs::read(path(&first)).unwrap();
    harm(&path(&first));
    assert_eq!(listed(&folder), [state]);
    let server = Server::start(&folder);
    assert_eq!(server.get("/v1/datasets/desk").status, 410);
    server.stop();
    let again = build(&folder, &["desk"]);
    assert_eq!((version(&again), path(&again)), ((1, false), path(&first)));
    assert_eq!(fs::read(path(&first)).unwrap(), bytes);
    assert_eq!(version(&build(&folder, &["desk"])), (1, true));
    let files = fs::read_dir(path(&first).parent().unwrap()).unwrap().count();
    assert_eq!(files, 2, "the file and its manifest");
}

#[test]
fn a_file_that_was_damaged_or_removed_is_written_again_as_the_version_that_it_is() {
    check_mended(|path| fs::write(path, "x").unwrap(), "changed");
    check_mended(|path| fs::remove_file(path).unwrap(), "missing");
    // One changed bit among the rows is found only by a reader of the whole file.
    check_mended(
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[40] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        "present",
    );
}

#[test]
fn the_place_of_a_file_makes_no_version() {
    let folder = desk(LABEL);
    assert_eq!(version(&build(&folder, &["desk"])), (1, false));
    for output in ["a.parquet", "b.parquet", "a.parquet"] {
        let built = build(&folder, &["desk", "--output", output]);
        assert_eq!((version(&built), path(&built)), ((1, true), folder.path().join(output)));
    }
    assert_eq!(listed(&folder), ["present"]);
    let said = folder.run(&["dataset", "build", "desk", "--output", "x.csv"]);
    assert!(said.contains("written as Parquet") && said.contains("`.parquet`"), "{said}");
    assert!(!folder.path().join("x.csv").exists());
}

#[test]
fn a_moved_or_copied_project_has_its_own_files() {
    let folder = desk(LABEL);
    build(&folder, &["desk"]);
    let others = Folder::empty();
    let (copy, moved) = (others.path().join("copy"), others.path().join("moved"));
    let copied = Command::new("cp").arg("-r").args([folder.path(), &copy]).status().unwrap();
    assert!(copied.success());
    let within = |project: &Path, arguments: &[&str]| -> Value {
        let output = others.command(arguments).current_dir(project).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    fs::remove_dir_all(copy.join(".millstream/datasets")).unwrap();
    let again = within(&copy, &["dataset", "build", "desk", "--json"]);
    assert_eq!(version(&again), (1, false));
    assert!(path(&again).starts_with(&copy) && path(&again).is_file(), "{again}");
    fs::rename(&copy, &moved).unwrap();
    let built = within(&moved, &["dataset", "build", "desk", "--json"]);
    assert_eq!((version(&built), path(&built).starts_with(&moved)), ((1, true), true), "{built}");
    let diff = within(&moved, &["dataset", "diff", "desk@1", "desk", "--json"]);
    assert_eq!(diff["rows"]["matched"], json!({"added": 0, "removed": 0, "changed": 0}));
}
