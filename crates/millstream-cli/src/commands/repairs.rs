//! `millstream repairs`: what was found damaged or lost, and what was done about it.

use std::fmt::Write;

use millstream_engine::{RepairRecord, RepairState};

use crate::{
    CliError, Exit, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    project,
    session::Session,
    standing::between,
    wire::{Of, RepairInfo, RepairsAnswer},
};

/// Show what was found damaged or lost, and what was done about it
///
/// What is made of other assets and found damaged is made again by `millstream serve`, at most three times a day. What is made
/// of nothing else is left to a person.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Show at most this many, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Say that the damage of this asset is seen to, as after its files were brought back from a backup
    #[arg(long, value_name = "ASSET")]
    pub(crate) clear: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let named = arguments.clear.as_deref().map(|name| project::asset_named(&project, name)).transpose()?;
    let engine = project::engine(project, session).await?;
    if let Some(asset) = &named {
        let was_open = engine.clear_repairs(asset).await?;
        let told = if was_open { "counts as sound again" } else { "was not found damaged" };
        output::tell(&format!("{asset} {told}"));
    }
    let repairs = engine.repairs(arguments.limit).await?;
    if session.settings.json {
        output::print_json(&RepairsAnswer { repairs: repairs.iter().map(RepairInfo::of).collect() })?;
    } else if named.is_none() {
        let now = engine.now();
        let text: String = repairs.iter().map(|repair| text(repair, now)).collect();
        let none = "Nothing was found damaged\n".to_owned();
        output::print(if text.is_empty() { &none } else { &text })?;
    }
    Ok(Exit::Success)
}

fn text(repair: &RepairRecord, now: millstream_types::TimestampMicros) -> String {
    let RepairRecord { asset, code, cause, found, .. } = repair;
    let state = match repair.state {
        RepairState::Due => styled(CAUTION, "due"),
        RepairState::Repaired => styled(GOOD, "repaired"),
        RepairState::Failed => styled(BAD, "failed"),
        RepairState::GivenUp => styled(BAD, "left to you"),
    };
    let ago = human::ago(between(*found, now));
    let mut text = format!(
        "{}  {}, {state}  {}\n  {cause} ({code})\n",
        styled(STRONG, asset),
        repair.action.as_str(),
        styled(FAINT, ago)
    );
    if let Some(message) = &repair.message {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {message}");
    }
    text
}
