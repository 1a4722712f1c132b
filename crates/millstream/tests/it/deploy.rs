//! The files of `deploy/` and what the page on deployment says are true: they can be parsed, and what they name exists.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{harness::Folder, serve_process::Server};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

const FILES: [&str; 4] = [
    "deploy/Dockerfile",
    "deploy/kubernetes.yaml",
    "deploy/millstream-serve@.service",
    "docs/how-to/deploy.md",
];

/// The commands that a deployment calls, with the help that names their options.
fn helps() -> String {
    let folder = Folder::empty();
    ["serve", "run", "maintain", "health", "check", "demo"]
        .map(|command| folder.stdout(&[command, "--help"]))
        .concat()
}

#[test]
fn every_option_that_is_named_exists() {
    let helps = helps();
    let known: BTreeSet<&str> = helps.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).collect();
    let mut found = 0;
    for file in FILES {
        let text = text(file);
        let lines = text.lines().filter(|line| {
            let is_call = line.contains("millstream") || line.contains("args:") || line.contains("CMD");
            let others = ["docker ", "cargo ", "systemctl ", "RUN", "COPY", "useradd", "groupadd"];
            is_call && !others.iter().any(|other| line.contains(other))
        });
        for line in lines {
            // What stands before it is Docker's own.
            let call = line.split_once("CMD").map_or(line, |(_, call)| call);
            for option in call.split(|c: char| !(c.is_ascii_lowercase() || c == '-')) {
                if option.len() > 3 && option.starts_with("--") {
                    assert!(known.contains(option), "{file}: no command has `{option}`: {line}");
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 10, "only {found} options were found");
}

#[test]
fn every_variable_that_is_named_is_read() {
    let helps = helps();
    for file in FILES {
        let text = text(file);
        for name in text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            if name.starts_with("MILLSTREAM_") {
                assert!(helps.contains(name), "{file}: nothing reads `{name}`");
            }
        }
    }
}

/// A project's own file is read by the same parser; what it does not know in these files does not matter.
#[test]
fn the_manifest_is_yaml() {
    let text = text("deploy/kubernetes.yaml");
    let mut kinds = Vec::new();
    for document in text.split("\n---\n") {
        let folder = Folder::with(&[("millstream.yaml", document)]);
        let checked = folder.json(&["check", "--json"]);
        let problems = checked["problems"].as_array().unwrap_or_else(|| panic!("{checked}"));
        // Only faults of the YAML itself keep the file from being decoded.
        let is_syntax = |code: &str| ["MS-0101", "MS-0102", "MS-0103", "MS-0104"].contains(&code);
        let bad = problems.iter().find(|problem| is_syntax(problem["code"].as_str().unwrap()));
        assert!(bad.is_none(), "{bad:?}\n{document}");
        kinds.extend(document.lines().filter_map(|line| line.strip_prefix("kind: ")));
    }
    assert_eq!(kinds, ["Secret", "PersistentVolumeClaim", "Deployment", "Service", "PodDisruptionBudget"]);
}

#[test]
fn the_probes_are_answered() {
    let folder = Folder::with(&[("millstream.yaml", "name: probed\n")]);
    let server = Server::start(&folder);
    let text = text("deploy/kubernetes.yaml");
    let probes: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("httpGet: {path: ")?.split(',').next())
        .collect();
    assert_eq!(probes, ["/health", "/health", "/ready"]);
    for path in probes {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for ready in [&[][..], &["--ready"]] {
        let said = folder.run(&[&["health", "--address", &server.address], ready].concat());
        assert!(said.starts_with("exit: 0") && said.contains("with 200"), "{said}");
    }
    let address = server.address.clone();
    server.stop();
    let said = folder.run(&["health", "--address", &address, "--timeout", "2s"]);
    assert!(said.starts_with("exit: 1") && said.contains("does not answer /health"), "{said}");
}

/// Whoever ends a server by force does so only once it has had its own time.
#[test]
fn there_is_time_to_end_in_order() {
    let help = Folder::empty().stdout(&["serve", "--help"]);
    let of_drain = help.split_once("--drain").unwrap().1;
    let drain = of_drain.split_once("[default: ").unwrap().1.split_once("s]").unwrap().0;
    let drain: u64 = drain.parse().unwrap();
    for (file, key) in [
        ("deploy/kubernetes.yaml", "terminationGracePeriodSeconds: "),
        ("deploy/millstream-serve@.service", "TimeoutStopSec="),
    ] {
        let text = text(file);
        let given = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        assert!(given.parse::<u64>().unwrap() > drain + 40, "{file}: {given} s for a drain of {drain} s");
    }
}

/// A token that can be read in a repository is none, and a context that nothing copies from names no project.
#[test]
fn no_token_is_published_and_the_named_project_is_copied() {
    let manifest = text("deploy/kubernetes.yaml");
    let tokens: Vec<&str> =
        manifest.lines().filter_map(|line| line.trim().strip_prefix("MILLSTREAM_TOKEN: ")).collect();
    assert_eq!(tokens, [r#""""#]);
    assert!(text("docs/how-to/deploy.md").contains("--build-context project="));
    assert!(text("deploy/Dockerfile").contains("COPY --from=project "));
}

#[test]
fn the_unit_is_sound() {
    let folder = Folder::empty();
    let unit = text("deploy/millstream-serve@.service");
    let unit = unit.replace("/usr/local/bin/millstream", env!("CARGO_BIN_EXE_millstream"));
    folder.write("millstream-serve@.service", &unit);
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "millstream-serve@.service"])
        .current_dir(folder.path())
        .output();
    // A machine without systemd runs no units.
    let Ok(verified) = verified else { return };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(!said.contains("millstream-serve@"), "{said}");
}

/// As a unit of `Type=notify` with a watchdog sees the server.
#[test]
fn a_service_manager_is_told_that_the_server_is_ready_lives_and_stops() {
    let folder = Folder::with(&[("millstream.yaml", "name: told\n")]);
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = folder.command(&["serve", "--address", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let heard = || {
        let mut text = [0; 64];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), "READY=1");
    assert_eq!((heard().as_str(), heard().as_str()), ("WATCHDOG=1", "WATCHDOG=1"));
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.unwrap().success());
    let mut last = heard();
    while last == "WATCHDOG=1" {
        last = heard();
    }
    assert_eq!(last, "STOPPING=1");
    assert!(child.wait().unwrap().success());
}
