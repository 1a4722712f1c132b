//! `millstream sla`: what is promised of assets, and on which days it was kept.

use std::fmt::Write;

use millstream_engine::PromiseStatus;
use millstream_schedule::{DayState, PromiseState, shown};

use crate::{
    CliError, Exit,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    project,
    session::Session,
    wire::{Of, PromiseAnswer, SlaAnswer},
};

/// Show what is promised of assets, and on which days it was kept
///
/// Promises stand under `sla` of an asset, and `millstream serve` watches them. Each day is one sign, the newest last: `✓` met,
/// `✗` missed, `·` not over, and a space where nothing was promised or nobody watched.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// An asset; without one, all that have promises
    #[arg(value_name = "ASSET")]
    pub(crate) asset: Option<String>,
    /// How many days, the present one included
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub(crate) days: u32,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let named = arguments.asset.as_deref().map(|name| project::asset_named(&project, name)).transpose()?;
    let engine = project::engine(project, session).await?;
    let promises = engine.promises(named.as_ref(), arguments.days).await?;
    if session.settings.json {
        let promises = promises.iter().map(PromiseAnswer::of).collect();
        output::print_json(&SlaAnswer { promises })?;
    } else {
        output::print(&text(&promises))?;
    }
    Ok(Exit::Success)
}

fn text(promises: &[PromiseStatus]) -> String {
    if promises.is_empty() {
        return "Nothing is promised; say `sla: {at_most: 1h}` in an asset\n".to_owned();
    }
    let mut text = String::new();
    let mut last = None;
    for promise in promises {
        // Writing to a string cannot fail.
        if last.replace(&promise.asset) != Some(&promise.asset) {
            let _ = writeln!(text, "{}", styled(STRONG, &promise.asset));
        }
        let _ = writeln!(text, "  {}  {}", promise.words, state(promise.state));
        if !promise.days.is_empty() {
            let days: String = promise.days.iter().map(|day| sign(day.state)).collect();
            let met = promise.days.iter().filter(|day| day.state == DayState::Met).count();
            let missed = promise.days.iter().filter(|day| day.state == DayState::Missed).count();
            let _ = writeln!(text, "  {days}  {met} met, {missed} missed");
        }
    }
    text
}

fn state(state: Option<PromiseState>) -> String {
    match state {
        None => styled(FAINT, "not watched yet"),
        Some(PromiseState::Kept) => styled(GOOD, "kept"),
        Some(PromiseState::AtRisk) => styled(CAUTION, "at risk"),
        Some(PromiseState::Broken { since }) => styled(BAD, format_args!("broken since {}", shown(since))),
    }
}

fn sign(state: DayState) -> String {
    match state {
        DayState::Met => styled(GOOD, '✓'),
        DayState::Missed => styled(BAD, '✗'),
        DayState::Open => styled(FAINT, '·'),
        DayState::Unknown => " ".to_owned(),
    }
}
