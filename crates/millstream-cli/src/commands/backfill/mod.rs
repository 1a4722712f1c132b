//! `millstream backfill`: partitions are filled, after a look at what that takes.

mod show;

use std::{
    collections::BTreeMap,
    io::{self, BufRead, IsTerminal},
    num::NonZeroUsize,
    time::Duration,
};

use millstream_api::backfills::{BackfillDocument, BackfillInfo, BackfillPlan, BackfillsAnswer};
use millstream_engine::{
    BackfillPreview, BackfillReport, BackfillRequest, BackfillWish, Engine, PartitionGrain, Project,
};

use crate::{
    CliError, Exit, output,
    progress::{self, summary::summary},
    project,
    serve::and_tell,
    session::Session,
    wire::Of,
};

/// The backfills that `list` shows.
const LISTED: usize = 50;

/// Fill partitions of a table: a range of time, some values, or what is missing
///
/// Shows first which partitions would be built, and about how many rows and how long that is. What is built already is skipped.
/// Each chunk is one commit; a backfill that was interrupted goes on where it was when the same command is given again.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// Tables with partitions: `silver.orders`; with `--missing` alone, all of them
    #[arg(value_name = "ASSET")]
    pub(crate) assets: Vec<String>,
    /// The first partition: `2024`, `2024-01`, `2024-01-31`, `2024-01-31T05`
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// The partition before which to end; without it, the range ends now
    #[arg(long, value_name = "TIME", requires = "from")]
    pub(crate) to: Option<String>,
    /// A partition by its name, a time or a value; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub(crate) only: Vec<String>,
    /// The partitions that are missing, stale or failed
    #[arg(long, conflicts_with_all = ["from", "only"])]
    pub(crate) missing: bool,
    /// What one chunk holds: the partitions of an hour, a day, a week, a month or a year; without it, one partition
    #[arg(long, value_name = "TIME", value_parser = parse_grain)]
    pub(crate) by: Option<PartitionGrain>,
    /// A value for a parameter of the table's SQL: `--set rate=1.5`
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_value)]
    pub(crate) set: Vec<(String, String)>,
    /// How many chunks are computed at once
    #[arg(long, value_name = "N", value_parser = parse_parallel)]
    pub(crate) parallel: Option<NonZeroUsize>,
    /// Build again what is built already
    #[arg(long)]
    pub(crate) force: bool,
    /// Go on with a backfill that was interrupted, cancelled or has failed
    #[arg(long, value_name = "BACKFILL", conflicts_with_all = ["assets", "from", "only", "missing", "by", "set", "parallel", "force"])]
    pub(crate) resume: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Wait when another run on this table is under way, instead of refusing
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Show the last backfills and how far each has come
    List,
    /// End a backfill after the chunk that is being committed; what is done stays
    Cancel {
        /// The backfill, as `backfill list` names it
        #[arg(value_name = "BACKFILL")]
        backfill: String,
    },
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let engine = project::engine(project.clone(), session).await?;
    match &arguments.command {
        Some(Command::List) => return list(&engine, session).await,
        Some(Command::Cancel { backfill }) => return cancel(&engine, backfill, session).await,
        None => {}
    }
    let wait = if arguments.wait { Duration::MAX } else { Duration::ZERO };
    if let Some(backfill) = &arguments.resume {
        let events = progress::begin(&engine, session);
        let line = &session.settings.line;
        let report = engine.resume_backfill(backfill, line, wait, events, session.cancel.clone()).await?;
        return ended(&[], &[report], session);
    }
    let requests = requests(arguments, &project, session)?;
    let mut previews = Vec::with_capacity(requests.len());
    for request in &requests {
        previews.push(engine.preview_backfill(request).await?);
    }
    if !session.settings.json {
        previews.iter().try_for_each(|preview| output::print(&show::preview(preview)))?;
    }
    let is_open = matches!(requests.first().map(|request| &request.wish), Some(BackfillWish::Open));
    // What has come since is only found by looking through the inputs.
    if !is_open && !arguments.yes && previews.iter().all(|preview| preview.partitions == 0) {
        return ended(&previews, &[], session);
    }
    if !arguments.yes && !session.settings.json && !agreed()? {
        // Somebody at a terminal has said no.
        return Ok(Exit::Success);
    }
    let mut reports = Vec::new();
    for request in &requests {
        let events = progress::begin(&engine, session);
        reports.push(fill(&engine, request, wait, events, session).await?);
        if session.cancel.is_cancelled() {
            break;
        }
    }
    ended(&previews, &reports, session)
}

/// Fills what one request asks for.
async fn fill(
    engine: &Engine,
    request: &BackfillRequest,
    wait: Duration,
    events: millstream_engine::Publisher,
    session: &Session,
) -> Result<BackfillReport, CliError> {
    let work = engine.backfill(request, wait, events, session.cancel.clone());
    Ok(and_tell(engine, work).await?)
}

fn requests(
    arguments: &Arguments,
    project: &Project,
    session: &Session,
) -> Result<Vec<BackfillRequest>, CliError> {
    let wish = match (&arguments.from, arguments.only.is_empty(), arguments.missing) {
        (Some(from), ..) => BackfillWish::Between { from: from.clone(), to: arguments.to.clone() },
        (None, false, _) => BackfillWish::Named(arguments.only.clone()),
        (None, true, true) => BackfillWish::Open,
        (None, true, false) => {
            let message = "nothing says which partitions are meant".to_owned();
            let hint = "name a range with `--from` and `--to`, partitions with `--only`, or `--missing`";
            return Err(CliError::Call { message, hint: Some(hint.to_owned()) });
        }
    };
    let mut assets = Vec::new();
    for asset in &arguments.assets {
        assets.push(project::table_named(project, asset)?.to_string());
    }
    if assets.is_empty() {
        if !arguments.missing {
            let hint = "write `millstream backfill silver.orders --from 2024-01-01`".to_owned();
            return Err(CliError::Call { message: "no table is named".to_owned(), hint: Some(hint) });
        }
        let parted = project.spec.tables.iter().filter(|table| table.partition.is_some());
        assets.extend(parted.map(|table| table.name.to_string()));
    }
    let set: BTreeMap<String, String> = arguments.set.iter().cloned().collect();
    let request = |asset: String| BackfillRequest {
        asset,
        wish: wish.clone(),
        by: arguments.by,
        set: set.clone(),
        parallel: arguments.parallel,
        force: arguments.force,
        command: session.settings.line.clone(),
        principal: None,
    };
    Ok(assets.into_iter().map(request).collect())
}

/// Whether somebody at a terminal says yes. Without a terminal there is nobody to ask, so that the call is wrong.
fn agreed() -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        let hint = "`--yes` builds them without asking".to_owned();
        return Err(CliError::Call { message: "nothing was built".to_owned(), hint: Some(hint) });
    }
    output::print("Build them? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(CliError::Output)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn ended(
    previews: &[BackfillPreview],
    reports: &[BackfillReport],
    session: &Session,
) -> Result<Exit, CliError> {
    if session.settings.json {
        output::print_json(&BackfillDocument {
            plans: previews.iter().map(BackfillPlan::of).collect(),
            backfills: reports.iter().map(|report| BackfillInfo::of(&report.backfill)).collect(),
        })?;
    } else {
        for report in reports {
            output::print(&format!("\n{}{}", summary(&report.run), show::backfill(&report.backfill)))?;
        }
    }
    let succeeded = reports.iter().all(BackfillReport::succeeded);
    Ok(if succeeded { Exit::Success } else { Exit::Failure })
}

async fn list(engine: &Engine, session: &Session) -> Result<Exit, CliError> {
    let backfills = engine.backfills(LISTED).await?;
    if session.settings.json {
        let backfills = backfills.iter().map(BackfillInfo::of).collect();
        output::print_json(&BackfillsAnswer { backfills })?;
    } else if backfills.is_empty() {
        output::print_line("There was no backfill yet.")?;
    } else {
        output::print(&show::list(&backfills, engine.now()))?;
    }
    Ok(Exit::Success)
}

async fn cancel(engine: &Engine, backfill: &str, session: &Session) -> Result<Exit, CliError> {
    let was_open = engine.cancel_backfill(backfill).await?;
    let record = engine.backfill_record(backfill).await?;
    if session.settings.json {
        output::print_json(&BackfillInfo::of(&record))?;
    } else if was_open {
        output::print(&show::backfill(&record))?;
    } else {
        output::print_line(&format!("{backfill} had ended already: {}", record.status.as_str()))?;
    }
    Ok(Exit::Success)
}

fn parse_grain(text: &str) -> Result<PartitionGrain, String> {
    PartitionGrain::named(text).ok_or_else(|| "write `hour`, `day`, `week`, `month` or `year`".to_owned())
}

fn parse_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write `name=value`".to_owned())?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

fn parse_parallel(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "write a whole number from 1")
}
