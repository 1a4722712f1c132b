//! `millstream plan`: what a run would do, and why.

use millstream_engine::RunRequest;
use millstream_plan::RunPlan;

use crate::{
    CliError, Exit, human,
    output::{self, FAINT, GOOD, STRONG, styled},
    project,
    session::Session,
    wire::{Cause, PlanDocument, PlannedStep},
};

/// Show what a run would do, and why
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
}

/// Which assets, and how much of them; shared with `run`.
#[derive(clap::Args, Debug)]
pub(crate) struct SelectionArguments {
    /// Assets: `silver.orders`, `+orders` (with all before it), `orders+` (with all after it), `tag:x`, `source:x`,
    /// patterns like `gold.*`; without one, everything
    #[arg(value_name = "SELECTION")]
    pub(crate) selection: Vec<String>,
    /// Rebuild the selected tables from the whole of their inputs
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// Run what is selected even when it is up to date
    #[arg(long)]
    pub(crate) force: bool,
}

impl SelectionArguments {
    pub(crate) fn request(&self, session: &Session) -> RunRequest {
        RunRequest {
            selection: self.selection.clone(),
            full_refresh: self.full_refresh,
            force: self.force,
            command: session.settings.line.clone(),
            ..RunRequest::default()
        }
    }
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open(session)?)?;
    let plan = engine.plan(&arguments.selection.request(session)).await?;
    show(&plan, session)?;
    Ok(Exit::Success)
}

/// Prints the plan.
pub(crate) fn show(plan: &RunPlan, session: &Session) -> Result<(), CliError> {
    if session.settings.json {
        return output::print_json(&document(plan));
    }
    let up_to_date = human::count(plan.up_to_date.len() as u64, "asset");
    if plan.steps.is_empty() {
        return output::print_line(&format!("{} Nothing to do: {up_to_date} up to date", styled(GOOD, '✓')));
    }
    let width = plan.steps.iter().map(|step| step.asset.as_str().len()).max().unwrap_or(0);
    let mut text = format!("{}\n", styled(STRONG, human::count(plan.steps.len() as u64, "step")));
    for step in &plan.steps {
        text.push_str(&format!("  {:<width$}  {}\n", step.asset.as_str(), step.reason));
    }
    if !plan.up_to_date.is_empty() {
        text.push_str(&format!("{}\n", styled(FAINT, format_args!("{up_to_date} up to date"))));
    }
    output::print(&text)
}

fn document(plan: &RunPlan) -> PlanDocument {
    PlanDocument {
        steps: plan
            .steps
            .iter()
            .map(|step| PlannedStep { asset: step.asset.to_string(), cause: Cause::from(&step.reason) })
            .collect(),
        up_to_date: plan.up_to_date.iter().map(ToString::to_string).collect(),
    }
}
