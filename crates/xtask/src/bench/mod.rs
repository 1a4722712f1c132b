//! `cargo xtask bench`: Millstream's figures beside its peers', measured in one run on one machine.
//!
//! On a machine that is not idle, `chrt -f 10 cargo xtask bench …` lets everything measured go before other processes, the
//! peers and the programs that make load included.

mod build;
mod contract;
mod dispatch;
mod dispatch_peers;
mod feast;
mod feature_project;
mod incremental;
mod ingest;
mod land;
mod land_csv;
mod land_jsonl;
mod land_parquet;
mod load;
mod log;
mod materialize;
mod measure;
mod memory;
mod noop;
mod point_in_time;
mod project;
mod push;
mod serve;
mod serving;
mod step_overhead;
mod stream_features;
mod stream_windows;
mod table;
mod windows;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, Workspace, process, python::Python};
use measure::Measure;
use table::{Row, print};

/// The options and places that every bench gets.
#[derive(Debug)]
struct Context<'a> {
    workspace: &'a Workspace,
    /// Each figure is the median of so many rounds after one that is dropped.
    rounds: usize,
    /// Whether only a tenth of the data is used, to try the bench itself.
    quick: bool,
    /// Whether the variants of many gigabytes run too.
    large: bool,
    /// Whether Feast's server on Redis is measured too.
    feast: bool,
    /// The Python with DuckDB, polars, Pandera and Great Expectations.
    peers: Python,
    /// The folder of data and projects, which is kept between benches so that data is made once.
    folder: PathBuf,
    binary: PathBuf,
}

#[derive(Clone, Copy, Debug)]
struct Bench {
    name: &'static str,
    run: fn(&Context<'_>) -> Result<Vec<Row>>,
}

const BENCHES: [Bench; 19] = [
    Bench { name: "land_csv", run: land_csv::run },
    Bench { name: "land_jsonl", run: land_jsonl::run },
    Bench { name: "land_parquet", run: land_parquet::run },
    Bench { name: "contract", run: contract::run },
    Bench { name: "noop", run: noop::run },
    Bench { name: "step_overhead", run: step_overhead::run },
    Bench { name: "dispatch_peers", run: dispatch_peers::run },
    Bench { name: "dispatch", run: dispatch::run },
    Bench { name: "incremental", run: incremental::run },
    Bench { name: "point_in_time", run: point_in_time::run },
    Bench { name: "windows", run: windows::run },
    Bench { name: "serve", run: serve::run },
    Bench { name: "materialize", run: materialize::run },
    Bench { name: "stream_features", run: stream_features::run },
    Bench { name: "push", run: push::run },
    Bench { name: "memory", run: memory::run },
    Bench { name: "log", run: log::run },
    Bench { name: "ingest", run: ingest::run },
    Bench { name: "stream_windows", run: stream_windows::run },
];

const PEERS: [&str; 6] = [
    "duckdb==2.0.0",
    "great-expectations==1.24.1",
    "pandera[polars]==0.35.0",
    "polars==2.1.0",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
];

const ROUNDS: usize = 5;

/// The bench that runs only when it is named, since it takes twenty minutes.
const BUILD: &str = "build";

/// What was asked for on the command line.
#[derive(Debug)]
struct Options {
    benches: Vec<Bench>,
    build: bool,
    rounds: usize,
    quick: bool,
    large: bool,
    feast: bool,
}

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let context = if options.benches.is_empty() { None } else { Some(options.context(workspace)?) };
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    let mut measure = |name: &str, bench: &dyn Fn() -> Result<Vec<Row>>| {
        eprintln!("     Measuring {name}");
        match bench() {
            Ok(more) => rows.extend(more),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    };
    if options.build {
        measure(BUILD, &|| build::run(workspace));
    }
    if let Some(context) = &context {
        for bench in &options.benches {
            measure(bench.name, &|| (bench.run)(context));
        }
    }
    print(&rows);
    let figures = workspace.scratch("bench")?.join("figures.json");
    fs::write(figures, serde_json::to_string_pretty(&table::figures(&rows))?)?;
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            benches: Vec::new(),
            build: false,
            rounds: ROUNDS,
            quick: false,
            large: false,
            feast: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--large" => options.large = true,
                "--feast" => options.feast = true,
                "--rounds" => {
                    let count = arguments.next().and_then(|count| count.parse().ok());
                    let count = count.filter(|count| *count > 0);
                    options.rounds = count.ok_or("--rounds needs a number above 0")?;
                }
                BUILD => options.build = true,
                name => {
                    let bench = BENCHES.iter().find(|bench| bench.name == name);
                    options.benches.push(*bench.ok_or_else(|| unknown(name))?);
                }
            }
        }
        if options.benches.is_empty() && !options.build {
            options.benches.extend(BENCHES);
        }
        Ok(options)
    }

    /// Installs the peers and builds the binary.
    fn context<'a>(&self, workspace: &'a Workspace) -> Result<Context<'a>> {
        let context = Context {
            workspace,
            rounds: self.rounds,
            quick: self.quick,
            large: self.large,
            feast: self.feast,
            peers: Python::with(workspace, "peers", &PEERS)?,
            folder: workspace.scratch("bench")?,
            binary: workspace.built("millstream"),
        };
        process::run(release_build(workspace).args(["--bin", "millstream"]))?;
        Ok(context)
    }
}

/// A build with the features of the tests, so that no dependency is compiled again.
fn release_build(workspace: &Workspace) -> Command {
    let mut build = process::cargo(&workspace.root);
    build.args(["build", "--release", "--quiet", "--workspace", "--features", "millstream/full"]);
    build
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).chain([BUILD]).collect();
    format!("`{name}` is not a bench: {}", names.join(", "))
}

impl Context<'_> {
    /// `full` rows, or a tenth of them when only trying.
    fn rows(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }

    /// A script of `crates/xtask/bench`, run by the peers' Python.
    fn script(&self, name: &str) -> Command {
        let mut command = self.peers.command();
        command.arg(self.workspace.root.join("crates/xtask/bench").join(name));
        command
    }

    /// A file that `script` with `arguments` makes at its last argument, made once for each set of arguments.
    fn data(&self, file: &str, script: &str, arguments: &[&str]) -> Result<PathBuf> {
        let folder = self.folder.join("data");
        fs::create_dir_all(&folder)?;
        let path = folder.join(file);
        if !path.exists() {
            let unfinished = folder.join(format!("unfinished-{file}"));
            process::output(self.script(script).args(arguments).arg(&unfinished))?;
            fs::rename(unfinished, &path)?;
        }
        Ok(path)
    }

    /// Time and memory of whole processes: the median of the rounds after a first one that is dropped. `prepare` runs
    /// before each round and is not measured.
    fn measure(
        &self,
        mut prepare: impl FnMut() -> Result<()>,
        command: impl Fn() -> Command,
    ) -> Result<Measure> {
        let mut rounds = Vec::with_capacity(self.rounds);
        for round in 0..=self.rounds {
            prepare()?;
            let measured = self.once(&command())?;
            if round > 0 {
                rounds.push(measured);
            }
        }
        Ok(Measure::median(rounds))
    }

    /// One process, measured from start to end.
    fn once(&self, command: &Command) -> Result<Measure> {
        Measure::of(self.script("measure.py"), &self.folder.join("measured.json"), command)
    }

    /// A peer that measures itself and prints the figures, so that its start does not count.
    fn measure_itself(
        &self,
        mut prepare: impl FnMut() -> Result<()>,
        command: impl Fn() -> Command,
    ) -> Result<Measure> {
        let mut rounds = Vec::with_capacity(self.rounds);
        for round in 0..=self.rounds {
            prepare()?;
            let text = process::output(&mut command())?;
            let line = text.lines().rfind(|line| line.starts_with('{')).ok_or("no figures were printed")?;
            if round > 0 {
                rounds.push(serde_json::from_str(line)?);
            }
        }
        Ok(Measure::median(rounds))
    }

    /// Builds an example, and returns its path.
    fn example(&self, name: &str) -> Result<PathBuf> {
        process::run(release_build(self.workspace).args(["--example", name]))?;
        Ok(self.workspace.built("examples").join(name))
    }

    /// `millstream run` on the project in `folder`.
    fn run_project(&self, folder: &Path) -> Command {
        self.millstream("run", folder)
    }

    /// `millstream features materialize` on the project in `folder`.
    fn materialize(&self, folder: &Path, full: bool) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["features", "materialize", "--json", "--project"]).arg(folder);
        command.args(full.then_some("--full"));
        command
    }

    fn millstream(&self, subcommand: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(subcommand).arg("--project").arg(folder).arg("--json");
        command
    }
}
