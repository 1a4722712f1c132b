//! `millstream schedule`: when assets run by themselves, and why.

use std::fmt::Write;

use millstream_engine::{Clock, EngineError, SystemClock};
use millstream_plan::{AssetTicks, PlanError, Selection, upcoming};
use millstream_schedule::Trigger;
use millstream_types::TimestampMicros;

use super::{plan::is_by_name, query::parse_time};
use crate::{
    CliError, Exit,
    output::{self, FAINT, STRONG, styled},
    project,
    session::Session,
    wire::{AssetSchedule, Of, ResumeAnswer, ScheduleDocument, instant},
};

/// Show when assets run by themselves
///
/// Prints the coming ticks of each asset with the trigger that makes each of them, in UTC. Reads the project's files only: no
/// store is opened. `millstream serve` acts on schedules.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Assets, as `millstream plan` selects them; without one, everything
    #[arg(value_name = "SELECTION")]
    pub(crate) selection: Vec<String>,
    /// How many ticks of each asset
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
    /// The instant after which ticks are told, as `2026-03-28T12:00:00Z` or `2026-03-28`; now if left out
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) from: Option<TimestampMicros>,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Let an asset that was set aside run by itself again
    ///
    /// An asset that failed too often in a row (`set_aside_after`) is started by `millstream serve` no more. It comes back by this,
    /// when its definition changes, or when `millstream run` builds it. The process that serves the project sees to it within a
    /// few seconds, or when it starts.
    Resume {
        /// An asset: `bronze.orders`, or `orders`, `view:spend`, `dataset:churn`
        #[arg(value_name = "ASSET")]
        asset: String,
    },
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    match &arguments.action {
        None => show(arguments, session),
        Some(Action::Resume { asset }) => resume(asset, session).await,
    }
}

async fn resume(name: &str, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let asset = project::asset_named(&project, name)?;
    let engine = project::engine(project, session).await?;
    engine.resume(&asset).await?;
    if session.settings.json {
        output::print_json(&ResumeAnswer { asset: asset.to_string() })?;
    } else {
        output::print(&format!("{asset} runs by itself again, as soon as the project is served\n"))?;
    }
    Ok(Exit::Success)
}

fn show(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let from = arguments.from.unwrap_or_else(|| SystemClock.now());
    let selection = Selection::parse(&arguments.selection, &[]).map_err(PlanError::from);
    let assets = selection
        .and_then(|selection| {
            upcoming(&project.graph, &project.spec, &selection, arguments.count.into(), from)
        })
        .map_err(EngineError::from)?;
    if session.settings.json {
        let assets = assets.iter().map(AssetSchedule::of).collect();
        output::print_json(&ScheduleDocument { from: instant(from), assets })?;
    } else {
        output::print(&text(&assets))?;
    }
    Ok(project::done(&project, is_by_name(&arguments.selection)))
}

fn text(assets: &[AssetTicks]) -> String {
    let (timed, others): (Vec<_>, Vec<_>) = assets.iter().partition(|asset| !asset.ticks.is_empty());
    let mut text = String::new();
    for asset in &timed {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {}", styled(STRONG, &asset.asset), styled(FAINT, said(asset)));
        let mut is_looked_for = false;
        for tick in &asset.ticks {
            // One look is as the next, and says nothing of when the asset runs.
            let is_look = matches!(tick.trigger, Trigger::NewFiles { .. });
            if is_look && std::mem::replace(&mut is_looked_for, true) {
                continue;
            }
            let estimate = match &tick.trigger {
                Trigger::Freshness(_) => ", estimated as if it were fresh now",
                Trigger::NewFiles { .. } | Trigger::Events { .. } => ", runs only if there are any",
                _ => "",
            };
            let _ = writeln!(text, "  {}  {}{}", shown(tick.at), tick.trigger, styled(FAINT, estimate));
        }
    }
    if !others.is_empty() {
        let width = others.iter().map(|asset| asset.asset.as_str().len()).max().unwrap_or(0);
        let title = if timed.is_empty() { "No asset runs by the clock" } else { "Not by the clock" };
        let _ = writeln!(text, "{}", styled(STRONG, title));
        for asset in others {
            let _ = writeln!(text, "  {:<width$}  {}", asset.asset.as_str(), styled(FAINT, said(asset)));
        }
    }
    text
}

/// `on change, every 15m; priority 5; pools heavy, light`
fn said(asset: &AssetTicks) -> String {
    let schedule = &asset.schedule;
    let mut said = schedule.to_string();
    if schedule.priority != 0 {
        let _ = write!(said, "; priority {}", schedule.priority);
    }
    match schedule.pools.as_slice() {
        [] => {}
        [pool] => said.push_str(&format!("; pool {pool}")),
        pools => said.push_str(&format!("; pools {}", pools.join(", "))),
    }
    said
}

/// `Sun 2026-03-29 04:00:00 UTC`; parts of a second are left out.
fn shown(at: TimestampMicros) -> String {
    chrono::DateTime::from_timestamp_micros(at.0)
        .map(|at| at.format("%a %Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_else(|| instant(at))
}
