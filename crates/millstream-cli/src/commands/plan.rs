//! `millstream plan`: what a run would do, and why.

use std::sync::Arc;

use millstream_engine::{Engine, Project, RunRequest, Status};
use millstream_plan::{ByHand, PlannedStep as Planned, Reason};
use millstream_sql::incremental::Strategy;

use crate::{
    CliError, Exit, human,
    output::{self, FAINT, GOOD, STRONG, styled},
    project,
    session::Session,
    standing::{Standing, Trouble},
    wire::{Cause, Of, PlanDocument, PlannedStep},
};

/// Show what a run would do, and why
///
/// Every asset that would run has one reason: never built, its table vanished, definition changed, its source or table
/// cannot be looked at, new input, stale (its rows are older than a freshness check allows), forced, or its last
/// attempt failed. Reads no rows and changes no table.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
}

/// Which assets, and how much of them; shared with `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct SelectionArguments {
    /// Assets: `silver.orders`, `+orders` (with all before it), `orders+` (with all after it), `1+orders+2` (with so many
    /// steps), `tag:x`, `source:x`, `path:tables/gold`, `view:spend` (a feature view), `service:x`, `dataset:x`, patterns like `gold.*`, `tag:x,gold.*` (what is both); without
    /// one, everything
    #[arg(value_name = "SELECTION")]
    pub(crate) selection: Vec<String>,
    /// Leave these out, written as selections are; may be given several times
    #[arg(long, value_name = "SELECTION")]
    pub(crate) exclude: Vec<String>,
    /// Rebuild the selected tables from the whole of their inputs; sources are landed anew only when a selection is given
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// With `--full-refresh` and a selection: forget the rows of parts that were landed and are gone from their source,
    /// instead of refusing; the run says how many
    #[arg(long, requires = "full_refresh", requires = "selection")]
    pub(crate) forget_gone: bool,
    /// Run what is selected even when it is up to date
    #[arg(long)]
    pub(crate) force: bool,
}

impl SelectionArguments {
    /// Opens the project. With a selection, the part of the project that is free of errors is enough; without one, all of
    /// it has to be.
    pub(crate) fn open(&self, session: &Session) -> Result<Arc<Project>, CliError> {
        if self.selection.is_empty() {
            return project::open(session);
        }
        project::open_sound(session)
    }

    /// Whether the selection names its assets, so that what was found is all that is meant.
    pub(crate) fn names_what_it_means(&self) -> bool {
        is_by_name(&self.selection)
    }

    pub(crate) fn request(&self, session: &Session) -> RunRequest {
        RunRequest {
            selection: self.selection.clone(),
            exclude: self.exclude.clone(),
            full_refresh: self.full_refresh,
            forget_gone: self.forget_gone,
            force: self.force,
            command: session.settings.line.clone(),
            ..RunRequest::default()
        }
    }
}

/// Whether a selection consists of names of assets.
pub(crate) fn is_by_name(selection: &[String]) -> bool {
    // What stands before the name asks for its inputs: `+orders`, `1+orders`.
    let name =
        |word: &str| word.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('+').to_owned();
    !selection.is_empty() && selection.iter().all(|word| !name(word).contains(['*', ':', '+']))
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(arguments.selection.open(session)?, session).await?;
    show(&engine, &arguments.selection.request(session), session).await?;
    Ok(Exit::Success)
}

/// Prints what a run would do.
pub(crate) async fn show(engine: &Engine, request: &RunRequest, session: &Session) -> Result<(), CliError> {
    let plan = engine.plan(request).await?;
    // Only assets that were never built are shown with the end of their last attempt: the status is costly, since it opens
    // every table.
    let is_unbuilt = |step: &Planned| step.reason == Reason::NeverBuilt;
    let status = if plan.steps.iter().any(is_unbuilt) { Some(engine.status().await?) } else { None };
    let mut reasons: Vec<Explained<'_>> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let upkeep = engine.upkeep(&step.asset).await;
        reasons.push(Explained { upkeep, ..Explained::new(step, request, status.as_ref()) });
    }
    if session.settings.json {
        let steps = reasons.iter().map(Explained::document).collect();
        let up_to_date = plan.up_to_date.iter().map(ToString::to_string).collect();
        let by_hand = plan.by_hand.iter().map(PlannedStep::of).collect();
        return output::print_json(&PlanDocument { steps, up_to_date, by_hand });
    }
    let up_to_date = human::count(plan.up_to_date.len() as u64, "asset");
    if plan.steps.is_empty() {
        output::print_line(&format!("{} Nothing to do: {up_to_date} up to date", styled(GOOD, '✓')))?;
        return output::print(&by_hand(&plan.by_hand));
    }
    let width = plan.steps.iter().map(|step| step.asset.as_str().len()).max().unwrap_or(0);
    let mut text = format!("{}\n", styled(STRONG, human::count(plan.steps.len() as u64, "step")));
    for reason in &reasons {
        text.push_str(&format!("  {:<width$}  {}\n", reason.step.asset.as_str(), reason.text()));
        if let Some(whole) = reason.computes_everything() {
            text.push_str(&format!("  {:<width$}  {}\n", "", styled(FAINT, whole)));
        }
    }
    if !plan.up_to_date.is_empty() {
        text.push_str(&format!("{}\n", styled(FAINT, format_args!("{up_to_date} up to date"))));
    }
    text.push_str(&by_hand(&plan.by_hand));
    output::print(&text)
}

/// What would run if the command named it.
fn by_hand(assets: &[ByHand]) -> String {
    if assets.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", styled(FAINT, "by hand, when named:"));
    for ByHand { asset, reason } in assets {
        text.push_str(&format!("  {}\n", styled(FAINT, format_args!("{asset}  {reason}"))));
    }
    text
}

/// A step's reason with what the plan alone does not know: the option that forces it, how the last attempt ended, and
/// how an incremental table is kept up to date.
struct Explained<'a> {
    step: &'a Planned,
    forced_by: Option<&'static str>,
    trouble: Option<(&'static str, Trouble<'a>)>,
    upkeep: Option<Strategy>,
}

impl<'a> Explained<'a> {
    fn new(step: &'a Planned, request: &RunRequest, status: Option<&'a Status>) -> Self {
        let forced_by = match step.reason {
            Reason::Forced if request.full_refresh => Some("--full-refresh"),
            Reason::Forced if request.force => Some("--force"),
            _ => None,
        };
        let mut assets = status.into_iter().flat_map(|status| &status.assets);
        let asset = assets.find(|asset| asset.asset == step.asset);
        let trouble = match step.reason {
            Reason::NeverBuilt => asset.and_then(|asset| Standing::of(asset).trouble()),
            _ => None,
        };
        Self { step, forced_by, trouble, upkeep: None }
    }

    fn text(&self) -> String {
        let reason = self.step.reason.to_string();
        match (self.forced_by, self.trouble) {
            (Some(option), _) => format!("{reason} by `{option}`"),
            (None, Some((ended, trouble))) => {
                format!("{reason}: the last attempt {ended}: {trouble}")
            }
            (None, None) => reason,
        }
    }

    /// The strategy of an incremental table that is computed as a whole when its inputs, or some of them, change.
    fn computes_everything(&self) -> Option<&Strategy> {
        self.upkeep.as_ref().filter(|upkeep| match upkeep {
            Strategy::AppendOnly => false,
            Strategy::Keyed { whole_for, .. } => !whole_for.is_empty(),
            Strategy::FullDiff { .. } | Strategy::Full { .. } => true,
        })
    }

    fn document(&self) -> PlannedStep {
        let mut cause = Cause::of(&self.step.reason);
        cause.because_of.extend(self.forced_by.map(str::to_owned));
        cause.last_attempt = self.trouble.map(|(ended, trouble)| format!("{ended}: {trouble}"));
        let upkeep = self.upkeep.as_ref().map(ToString::to_string);
        PlannedStep { asset: self.step.asset.to_string(), cause, upkeep }
    }
}
