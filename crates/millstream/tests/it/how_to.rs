//! The pages of `docs/how-to` are true: their files make a project, and their commands say what the pages show.
//!
//! A fenced block of YAML, SQL, CSV or JSON right after a line that ends in `` `path`: `` is the file of that name, from then
//! on. In a `console` block, lines after `$ ` run in a shell in the page's own folder, in which `millstream` is this binary;
//! the other lines are found in what the command says, `…` standing for anything. `# exit code 1` says how it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// What a page tells in order.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Write { path: String, text: String },
    Run { line: String, said: Vec<String> },
}

fn folder_of_pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to")
}

#[test]
fn pages_do_what_they_say() {
    let mut pages: Vec<PathBuf> =
        fs::read_dir(folder_of_pages()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let mut commands = 0;
    std::thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| scope.spawn(move || follow(page))).collect();
        for (page, thread) in pages.iter().zip(running) {
            match thread.join() {
                Ok(run) => commands += run,
                Err(_) => panic!("{} is not true", page.display()),
            }
        }
    });
    assert!(commands > 30, "only {commands} commands were found");
}

#[test]
fn links_of_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> =
        fs::read_dir(folder_of_pages()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.extend([root.join("README.md"), root.join("docs/README.md")]);
    let mut linked = String::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if path.contains("://") {
                continue;
            }
            let to = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(to.exists(), "{}: `{target}` leads nowhere", page.display());
            let has_anchor = || {
                let heading = |line: &str| {
                    let words = line.trim_start_matches('#').trim().to_lowercase();
                    words
                        .replace(' ', "-")
                        .chars()
                        .filter(|c| c.is_alphanumeric() || *c == '-')
                        .collect::<String>()
                };
                let text = fs::read_to_string(&to).unwrap();
                text.lines().filter(|line| line.starts_with('#')).any(|line| heading(line) == anchor)
            };
            assert!(anchor.is_empty() || has_anchor(), "{}: `{target}` has no such heading", page.display());
            linked.push_str(&to.file_name().unwrap_or_default().to_string_lossy());
        }
    }
    for page in &pages {
        let name = page.file_name().unwrap().to_string_lossy();
        assert!(name == "README.md" || linked.contains(&*name), "nothing links to {name}");
    }
}

/// Follows a page in a folder of its own; gives the number of the page's commands.
fn follow(page: &Path) -> usize {
    let text = fs::read_to_string(page).unwrap();
    let folder = TempDir::new().unwrap();
    let steps = steps(&text);
    for step in &steps {
        match step {
            Step::Write { path, text } => {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Step::Run { line, said } => run(page, folder.path(), line, said),
        }
    }
    steps.iter().filter(|step| matches!(step, Step::Run { .. })).count()
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.trim().is_empty() { before } else { line.trim() };
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        match (language.trim(), file_named(before)) {
            ("console", _) => steps.extend(commands(&block)),
            ("yaml" | "sql" | "csv" | "json" | "jsonl", Some(path)) => {
                let text = block.iter().map(|line| format!("{line}\n")).collect();
                steps.push(Step::Write { path: path.to_owned(), text });
            }
            _ => {}
        }
        before = "";
    }
    steps
}

/// The file's name in a line that ends with the name in backticks and a colon, such as `tables/gold/a.sql`.
fn file_named(line: &str) -> Option<&str> {
    let (_, name) = line.strip_suffix("`:")?.rsplit_once('`')?;
    Some(name)
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(line), _) => steps.push(Step::Run { line: line.to_owned(), said: Vec::new() }),
            (None, Some(Step::Run { said, .. })) => said.push((*line).to_owned()),
            (None, _) => panic!("`{line}` comes before any command"),
        }
    }
    steps
}

fn run(page: &Path, folder: &Path, line: &str, said: &[String]) {
    let binary = Path::new(env!("CARGO_BIN_EXE_millstream")).parent().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("PATH=\"{}:$PATH\"; {line}", binary.display())]).current_dir(folder);
    for variable in ["MILLSTREAM_ENVIRONMENT", "MILLSTREAM_LOG", "NO_COLOR", "DATA_DIR"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    let all =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let wanted = match line.split_once("# exit code ") {
        Some((_, code)) => code.trim().parse().unwrap(),
        None => 0,
    };
    assert_eq!(output.status.code(), Some(wanted), "{}: `{line}` said:\n{all}", page.display());
    for expected in said.iter().filter(|expected| !expected.trim().is_empty()) {
        assert!(
            all.lines().any(|line| fits(expected, line)),
            "{}: `{line}` does not say `{expected}`, but:\n{all}",
            page.display()
        );
    }
}

/// Whether a line holds the pieces of an expected one in order.
fn fits(expected: &str, line: &str) -> bool {
    let mut rest = line;
    expected.split('…').map(str::trim).all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
