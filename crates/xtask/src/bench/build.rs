//! The first build on a fresh machine: how many packages the default binary takes, and how long they take.
//!
//! A plain `cargo xtask bench` leaves this bench out, because it takes twenty minutes. It needs neither the peers nor a
//! binary.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Measure, Row, table::Target};
use crate::{Result, Workspace, process};

/// The most packages of the default binary, our own crates among them, weighed against [`SECONDS_MAX`]. Whoever adds a
/// package has to say what it is worth (docs/decisions/0011).
const PACKAGES_MAX: f64 = 387.0;
/// The most seconds of a cold build on two cores that do nothing else.
const SECONDS_MAX: f64 = 18.0 * 60.0;

/// A build from nothing.
#[derive(Debug)]
struct ColdBuild {
    measure: Measure,
    binary_bytes: u64,
}

pub(super) fn run(workspace: &Workspace) -> Result<Vec<Row>> {
    let root = &workspace.root;
    let mut tree = process::cargo(root);
    tree.args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none"]);
    let packages = packages(&process::output(&mut tree)?);
    // A download is the network's time, not the compiler's.
    process::run(process::cargo(root).args(["fetch", "--locked", "--quiet"]))?;
    let folder = workspace.scratch("bench")?;
    let page = folder.join("build-timings.html");
    let cold = in_empty(&folder.join("build"), |target| {
        let cold = build(root, target, "millstream", &root.join("crates/xtask/bench/measure.py"))?;
        // The figures of `--timings` are for people: cargo keeps their machine-readable form unstable.
        let timings = target.join("cargo-timings/cargo-timing.html");
        fs::copy(&timings, &page).map_err(|error| format!("{}: {error}", timings.display()))?;
        Ok(cold)
    })?;
    eprintln!("     What took how long: {}", page.display());
    Ok(rows(packages, &cold))
}

fn rows(packages: usize, cold: &ColdBuild) -> Vec<Row> {
    #[allow(clippy::cast_precision_loss, reason = "counts and sizes are far below 2^53")]
    let (packages, binary_bytes) = (packages as f64, cold.binary_bytes as f64);
    vec![
        Row::figure("packages of the default binary", packages, Target::Count(PACKAGES_MAX)),
        Row::seconds("cold build of it", cold.measure, SECONDS_MAX),
        Row::figure("processor time of the build", cold.measure.cpu_seconds, Target::Recorded),
        Row::figure("size of the binary", binary_bytes, Target::RecordedBytes),
    ]
}

/// Names with versions in what `cargo tree` prints; a package stands there once for each that depends on it.
fn packages(tree: &str) -> usize {
    let named: BTreeSet<Vec<&str>> =
        tree.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    named.iter().filter(|words| words.len() == 2).count()
}

/// Calls `work` with a new, empty `folder`, which is removed in the end. A folder that an interrupted call left behind,
/// with gigabytes in it, is replaced.
fn in_empty<T>(folder: &Path, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    if folder.exists() {
        remove(folder)?;
    }
    fs::create_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let outcome = work(folder);
    let removed = remove(folder);
    // Why the work failed tells more than that its folder stays.
    let value = outcome?;
    removed?;
    Ok(value)
}

fn remove(folder: &Path) -> Result<()> {
    Ok(fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?)
}

/// Builds the default member of the workspace at `root`, measured with the machine's Python, which every bench needs.
fn build(root: &Path, target: &Path, binary: &str, script: &Path) -> Result<ColdBuild> {
    let mut cargo = process::cargo(root);
    cargo.args(["build", "--release", "--locked", "--timings", "--target-dir"]).arg(target);
    // What the machine compiled before must not come in by its settings.
    cargo.env("RUSTC_WRAPPER", "").env("CARGO_BUILD_BUILD_DIR", target);
    let mut python = Command::new("python3");
    python.arg(script);
    let measure = Measure::of(python, &target.join("measured.json"), &cargo)?;
    let binary: PathBuf = [target, Path::new("release"), Path::new(binary)].iter().collect();
    let about = fs::metadata(&binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(ColdBuild { measure, binary_bytes: about.len() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::{build, in_empty, packages};

    #[test]
    fn a_package_counts_once_for_each_version() {
        let tree = "binary v0.1.0 (/somewhere)\nserde v1.0.1\nserde_derive v1.0.1 (proc-macro)\n\n\
                    serde_derive v1.0.1 (proc-macro) (*)\nserde v0.9.0\nserde v1.0.1\n";
        assert_eq!(packages(tree), 4);
    }

    #[test]
    fn a_build_is_measured_and_leaves_nothing() {
        let world = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(world.path().join(path), text).unwrap();
        write("Cargo.toml", "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n");
        write("Cargo.lock", "version = 4\n[[package]]\nname = \"small\"\nversion = \"0.0.0\"\n");
        fs::create_dir(world.path().join("src")).unwrap();
        write("src/main.rs", "fn main() {}");
        let target = world.path().join("target");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("left"), "by an interrupted build").unwrap();
        write("measure.py", include_str!("../../bench/measure.py"));
        let script = world.path().join("measure.py");
        let built = |binary: &str| {
            in_empty(&target, |target| {
                assert!(!target.join("left").exists());
                let cold = build(world.path(), target, binary, &script)?;
                assert!(target.join("cargo-timings/cargo-timing.html").exists());
                Ok(cold)
            })
        };
        let cold = built("small").unwrap();
        assert!(cold.measure.seconds > 0.0 && cold.measure.cpu_seconds > 0.0 && cold.binary_bytes > 0);
        assert!(!target.exists());
        assert!(built("other").unwrap_err().to_string().contains("release/other"));
        write("src/main.rs", "fn main() { no }");
        assert!(built("small").unwrap_err().to_string().contains("cannot find value `no`"));
        assert!(!target.exists());
    }
}
