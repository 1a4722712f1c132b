//! `millstream demo`: the shop project with generated data, run at once.

use std::path::{Path, PathBuf};

use millstream_demo::{DemoOptions, ROWS_DEFAULT, ROWS_MAX, ROWS_MIN};
use millstream_engine::RunRequest;

use crate::{
    CliError, Exit, human,
    output::{self, GOOD, STRONG, styled},
    progress::{
        self,
        summary::{command, summary},
    },
    project,
    session::Session,
    settings, templates,
};

/// Name of the demo's folder when the command does not say.
const FOLDER: &str = "millstream-demo";
/// How many demos may lie next to each other.
const FOLDERS_MAX: u32 = 1_000;

/// A read at the end of the generated data, when every window has something in it.
const READ: &str = r#"curl -s localhost:6566/v1/features/read -d '{"service": "checkout_v1", "entities": {"customer_id": [1, 2]}, "request": {"cart_value": [80, 12.5]}, "at": "2026-07-01T00:00:00Z"}'"#;

/// See it work: make a shop with generated data, run it, and say what to try next
///
/// The data is the same for the same rows and seed. About one row in a hundred is dirty, so that there is
/// something to reject.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Rows to generate, over all files (500 to 1,000,000,000); `20M` is 20,000,000
    #[arg(long, default_value_t = ROWS_DEFAULT, value_parser = rows)]
    pub(crate) rows: u64,
    /// Seed of the random data; the same seed and rows give the same shop
    #[arg(long, default_value_t = 42, value_parser = human::whole_number)]
    pub(crate) seed: u64,
    /// The folder to create; without it, the first free of `millstream-demo`, `millstream-demo-2`, …
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let root = match &arguments.path {
        Some(path) => path.clone(),
        None => free_folder()?,
    };
    if root.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::NotEmpty { path: root });
    }
    templates::find("shop")?.write(&root)?;
    let started = std::time::Instant::now();
    let generated =
        millstream_demo::generate(&root, DemoOptions { rows: arguments.rows, seed: arguments.seed })?;
    if !session.settings.json {
        output::tell(&format!(
            "{} Shop created in {}: {} as Parquet, {} as CSV, {} as JSON lines ({}, {})\n",
            styled(GOOD, '✓'),
            root.display(),
            human::count(generated.customers, "customer"),
            human::count(generated.orders, "order"),
            human::count(generated.events, "event"),
            human::bytes(generated.bytes),
            human::duration(started.elapsed()),
        ));
    }
    let engine = project::engine_at(&root, session).await?;
    let request = RunRequest { command: session.settings.line.clone(), ..RunRequest::default() };
    let events = progress::begin(&engine, session);
    let report = engine.run(&request, std::time::Duration::ZERO, events, session.cancel.clone()).await?;
    if !session.settings.json {
        output::print(&format!("\n{}", summary(&report)))?;
    }
    if !report.succeeded() {
        return Ok(Exit::Failure);
    }
    if !session.settings.json {
        output::print(&next(&root))?;
    }
    Ok(Exit::Success)
}

fn rows(text: &str) -> Result<u64, String> {
    let rows = human::whole_number(text)?;
    if (ROWS_MIN..=ROWS_MAX).contains(&rows) {
        return Ok(rows);
    }
    let (least, most) = (human::thousands(ROWS_MIN), human::thousands(ROWS_MAX));
    Err(format!("write a number from {least} to {most}"))
}

fn free_folder() -> Result<PathBuf, CliError> {
    let names = std::iter::once(FOLDER.to_owned()).chain((2..=FOLDERS_MAX).map(|n| format!("{FOLDER}-{n}")));
    names.map(PathBuf::from).find(|path| !path.exists()).ok_or_else(|| {
        CliError::call("every name for a demo folder is taken", Some("name one with `--path DIR`".to_owned()))
    })
}

/// What to try next; every command works in the demo's folder.
fn next(root: &Path) -> String {
    let commands = [
        ("millstream run", "nothing is new, so nothing runs"),
        ("millstream rejected bronze.orders", "the bad rows, by reason, with examples"),
        ("millstream query \"select * from gold.revenue_by_country order by revenue desc\"", "ask anything"),
        ("millstream lineage gold.customer_value.spent", "where a column comes from, and who uses it"),
        ("millstream lineage dataset:churn", "what the training set is made of"),
        ("millstream status", "versions, rows, ages, checks"),
        ("millstream test", "the project's own tests"),
        ("millstream features show orders", "what a feature is made of, and who uses it"),
        (
            "millstream dataset build churn",
            "the training set again: nothing changed, so it is the same version",
        ),
        ("millstream serve", "the features over HTTP; then, in another terminal:"),
    ];
    let mut text =
        format!("\n{}\n  {}\n", styled(STRONG, "Try next"), command(&format!("cd {}", root.display())));
    if let Some(program) = settings::program_off_path() {
        text.push_str(&format!("  {}\n", command(&format!("alias millstream='{}'", program.display()))));
    }
    for (line, why) in commands {
        text.push_str(&format!("  {}\n      {why}\n", command(line)));
    }
    text.push_str(&format!("  {}\n", command(READ)));
    text
}
