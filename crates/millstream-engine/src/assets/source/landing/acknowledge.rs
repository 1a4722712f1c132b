//! Tells a source what is durable, so that it need not keep it. What was landed does not depend on that: a failure is told,
//! and the next run tells the source again.

use millstream_connector::KnownPart;
use millstream_project::SourceSpec;

use super::{LandingAttempt, source_error};
use crate::{
    EngineError,
    engine::{StepContext, World},
    run::chain,
};

/// The word for people about a source that did not take what it was told.
pub(super) const UNACKNOWLEDGED: &str = "the word to the source of what is landed";

/// Tells the source how far it was landed. Nothing is told of a source that was never landed.
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

/// Says that the source was not told.
pub(super) fn note(context: &StepContext, error: &EngineError) {
    context.note(format!(
        "what was landed is safe, but the source could not be told so, and is told again by the next run: {} {}",
        error.code(),
        chain(error)
    ));
}
