//! A user who may read a project and not write it, and a state store that is damaged.

use std::{fs, path::Path, process::Command};

use crate::harness::{Folder, SMALL, assert_plain};

/// Makes everything below the folder readable for all and writable for nobody.
#[cfg(unix)]
fn lock(path: &Path, is_locked: bool) {
    use std::os::unix::fs::PermissionsExt;

    let is_folder = path.is_dir();
    let mode = match (is_folder, is_locked) {
        (true, true) => 0o555,
        (true, false) => 0o755,
        (false, true) => 0o444,
        (false, false) => 0o644,
    };
    if is_folder && !is_locked {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if is_folder {
        fs::read_dir(path).unwrap().for_each(|entry| lock(&entry.unwrap().path(), is_locked));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The binary as a user whom permissions bind: the tests' own, or, where that is root, nobody.
#[cfg(unix)]
fn as_reader(folder: &Folder, binary: &Path, arguments: &[&str]) -> std::process::Output {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};

    const NOBODY: u32 = 65_534;
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(folder.path()).env_remove("MILLSTREAM_LOG").env("HOME", "/");
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap()
}

#[cfg(unix)]
#[test]
fn who_may_not_write_may_ask() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::with(SMALL);
    let programs = tempfile::TempDir::new().unwrap();
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = programs.path().join("millstream");
    fs::copy(env!("CARGO_BIN_EXE_millstream"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    folder.run(&["run"]);
    lock(folder.path(), true);
    let mut said = String::new();
    for arguments in [
        &["query", "select count(*) as n from bronze.orders", "--format", "csv"][..],
        &["query", "select day, total from gold.totals order by day", "--format", "csv"],
        &["status"],
        &["status", "gold.totals"],
        &["plan"],
        &["rejected", "bronze.orders"],
        &["lineage", "gold.totals.total"],
        &["run"],
        &["maintain"],
    ] {
        let output = as_reader(&folder, &binary, arguments);
        assert_plain(&output);
        let text =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let expected = i32::from(matches!(arguments[0], "run" | "maintain"));
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {text}");
        said.push_str(&text);
    }
    lock(folder.path(), false);
    assert!(
        said.contains("n\n2\n") && said.contains("this user may read the state store, but not write it"),
        "{said}"
    );
}

#[test]
fn a_damaged_state_store_says_that_it_is_no_loss() {
    let folder = Folder::with(SMALL);
    folder.run(&["run"]);
    let state = folder.path().join(".millstream/state.db");
    for wal in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(folder.path().join(".millstream").join(wal));
    }
    fs::write(&state, "no database any more ".repeat(500)).unwrap();
    for arguments in [&["run"][..], &["status"], &["query", "select 1 as one"]] {
        let said = folder.run(arguments);
        assert!(said.starts_with("exit: 1") && said.contains("error[MS-0610]"), "{said}");
        assert!(said.contains("takes versions and positions from the lake"), "{said}");
        assert_eq!(said.matches("file is not a database").count(), 1, "{said}");
    }
    fs::remove_file(&state).unwrap();
    assert!(folder.run(&["run"]).starts_with("exit: 0"));
    assert!(
        folder
            .run(&["query", "select count(*) as n from bronze.orders", "--format", "csv"])
            .contains("n\n2\n")
    );
}
