//! Tells a source how far its data is durable, so that the source need not keep that data. Landed rows do not depend on it:
//! a failure is reported as a note, and the next run tells the source again.

use millstream_connector::KnownPart;
use millstream_project::SourceSpec;

use super::{LandingAttempt, source_error};
use crate::{
    EngineError,
    engine::{StepContext, World},
    run::chain,
};

/// The entry among the waiting parts, shown to people, for a source that could not be told how far it was landed.
pub(super) const UNACKNOWLEDGED: &str = "the word to the source of what is landed";

/// Tells the source how far it was landed. A source that was never landed is not told anything.
pub(super) async fn acknowledge(
    world: &World,
    source: &SourceSpec,
    durable: &[KnownPart],
) -> Result<(), EngineError> {
    if durable.is_empty() {
        return Ok(());
    }
    let told = world.connector(source)?.acknowledge(durable).await;
    told.map_err(|error| source_error(source, error))
}

/// Tells the source of the parts of a commit that was just made.
pub(super) async fn after_commit(attempt: &LandingAttempt<'_>, parts: &[KnownPart]) {
    if let Err(error) = acknowledge(attempt.world(), attempt.source, parts).await {
        note(attempt.context, &error);
    }
}

/// Notes for people that the source could not be told.
pub(super) fn note(context: &StepContext, error: &EngineError) {
    context.note(format!(
        "what was landed is safe, but the source could not be told so, and is told again by the next run: {} {}",
        error.code(),
        chain(error)
    ));
}
