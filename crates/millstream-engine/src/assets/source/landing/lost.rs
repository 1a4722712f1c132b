//! Parts whose positions are gone: read again from their beginnings where the source says so, and always on record.

use std::{borrow::Cow, collections::BTreeSet};

use millstream_connector::{ConnectorError, KnownPart, Part, PartChange};
use millstream_project::{LostPosition, SourceSpec};
use millstream_state::{NewRepair, RepairAction, RepairState};

use crate::{EngineError, engine::StepContext, repairs};

/// The parts of one landing whose positions were found to be gone.
#[derive(Debug, Default)]
pub(super) struct LostPositions(BTreeSet<String>);

impl LostPositions {
    /// Takes in a part that is read from its beginning from now on.
    ///
    /// # Errors
    ///
    /// The error is about something else, the source leaves this to a person, or this has been done too often lately.
    pub(super) async fn add(
        &mut self,
        context: &StepContext,
        source: &SourceSpec,
        error: EngineError,
    ) -> Result<(), EngineError> {
        let EngineError::Source { source: ConnectorError::PositionLost { part, .. }, .. } = &error else {
            return Err(self.failed(context, error).await);
        };
        let may = source.on_lost_position == LostPosition::Resync && !self.0.contains(part);
        if !may {
            return Err(self.failed(context, error).await);
        }
        let (part, world) = (part.clone(), &context.world);
        let repair = NewRepair {
            asset: context.asset.clone(),
            code: error.code().to_owned(),
            cause: crate::error::told(&error),
            action: RepairAction::Resync,
            found: world.options.clock.now(),
            state: RepairState::Due,
        };
        // One that is under way goes on, however often attempts are repeated and however many parts it has.
        if !repairs::is_due(world, &context.asset).await?
            && !repairs::may_begin(world, &context.asset).await?
        {
            context.note(format!("{part} is not read again: that was done too often today"));
            return Err(error);
        }
        world.state.begin_repair(&repair).await?;
        context.note(format!("{part} is read again from its beginning: {}", repair.cause));
        self.0.insert(part);
        Ok(())
    }

    /// What is known of the parts whose positions are there.
    pub(super) fn known<'a>(&self, known: &'a [KnownPart]) -> Cow<'a, [KnownPart]> {
        match self.0.is_empty() {
            true => Cow::Borrowed(known),
            false => known.iter().filter(|part| !self.0.contains(&part.id)).cloned().collect(),
        }
    }

    /// What landed of such a part is replaced, although its source says that the part is new.
    pub(super) fn mark(&self, parts: &mut [Part]) {
        for part in parts.iter_mut().filter(|part| self.0.contains(&part.id)) {
            part.change = PartChange::Replaced;
        }
    }

    /// The parts have landed.
    pub(super) async fn landed(&self, context: &StepContext) {
        if !self.0.is_empty() {
            context.world.repaired(&context.asset, &context.events).await;
        }
    }

    async fn failed(&self, context: &StepContext, error: EngineError) -> EngineError {
        // What may pass is tried again, and the repair with it.
        if !self.0.is_empty() && !error.class().may_pass() {
            context.world.not_repaired(&context.asset, &crate::error::told(&error)).await;
        }
        error
    }
}
