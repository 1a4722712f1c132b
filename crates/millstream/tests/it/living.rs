//! The demo's living project, and the view that shows it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{harness::Folder, serve_process::send};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A command that runs until it is told to end, and its lines.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut command = folder.command(arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// The lines up to one that `holds`.
    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> Vec<String> {
        let (end, mut said) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    said.push(line);
                    if holds(said.last().unwrap()) {
                        return said;
                    }
                }
                Err(error) => panic!("{what}: {error}\n{}", said.join("\n")),
            }
        }
    }

    /// Asks it to end as Ctrl-C does, and gives the rest of its lines.
    fn interrupt(mut self) -> Vec<String> {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
        let status = self.child.wait().unwrap();
        let rest: Vec<String> = self.lines.iter().collect();
        assert!(status.success(), "{status}\n{}", rest.join("\n"));
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_lives_until_it_is_told_to_end() {
    let folder = Folder::empty();
    let demo = Running::start(&folder, &["demo", "--rows", "2000", "--path", "shop"]);
    let said = demo.until("the shop does not live", |line| line.contains("The shop lives"));
    let lives = said.last().unwrap();
    let address = lives.split_once("http://").unwrap().1.split(". ").next().unwrap().to_owned();
    assert_eq!(send(&address, "GET", "/health", &[], b"").unwrap().status, 200);
    // New files arrive, land, and what reads them follows.
    demo.until("nothing arrives", |line| line.contains("arrive") && line.contains("live-00001.csv"));
    demo.until("nothing lands", |line| line.starts_with("✓ bronze.orders"));
    demo.until("nothing follows", |line| line.starts_with("✓ gold.customer_value"));
    // Whoever watches sees it, without a server of their own.
    let watch = Running::start(&folder, &["status", "--watch", "--json", "--project", "shop"]);
    let version = |line: &str| -> Option<i64> {
        let status: Value = serde_json::from_str(line).ok()?;
        let assets = status["assets"].as_array()?.iter();
        assets.into_iter().find(|asset| asset["asset"] == "bronze.orders")?["version"].as_i64()
    };
    let first = watch.until("nothing is shown", |line| version(line).is_some());
    let first = version(first.last().unwrap()).unwrap();
    watch.until("no change is shown", |line| version(line).is_some_and(|version| version > first));
    let rest = watch.interrupt();
    assert!(!rest.iter().any(|line| line.contains("panicked")), "{rest:?}");
    let rest = demo.interrupt();
    let summary = rest.iter().find(|line| line.contains("Lived for")).unwrap_or_else(|| panic!("{rest:#?}"));
    assert!(summary.contains("orders arrived in") && summary.contains("followed"), "{summary}");
    assert!(!summary.contains("without success"), "{summary}");
    assert!(rest.iter().any(|line| line.contains("cd shop && millstream serve")), "{rest:#?}");
}

#[test]
fn a_demo_takes_the_next_port_where_one_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:6566");
    let folder = Folder::empty();
    let demo = Running::start(&folder, &["demo", "--rows", "500", "--path", "shop"]);
    let said = demo.until("the shop does not live", |line| line.contains("The shop lives"));
    assert!(!said.last().unwrap().contains(":6566"), "{said:#?}");
    demo.interrupt();
    drop(taken);
}

#[test]
fn a_text_is_shown_for_each_change_where_there_is_no_terminal() {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: watched\n"),
        (
            "sources/a.yaml",
            "connector: {type: files, path: a.csv}\ncontract: {columns: {id: {type: int64}}}\n",
        ),
        ("a.csv", "id\n1\n"),
    ]);
    let watch = Running::start(&folder, &["status", "--watch"]);
    watch.until("nothing is shown", |line| line.contains("bronze.a") && line.contains("never built"));
    folder.stdout(&["run"]);
    let said = watch.until("the run is not shown", |line| line.contains("bronze.a") && line.contains("v0"));
    assert!(said.iter().all(|line| !line.contains('\u{1b}')), "{said:?}");
    watch.interrupt();
    let refused = folder.run(&["status", "--watch", "bronze.a"]);
    assert!(refused.starts_with("exit: 2"), "{refused}");
}
