//! Broken parts: the others land, the broken ones are reported and tried again by the next run.

use millstream_connector::{ConnectorError, Part};
use millstream_types::{CheckId, Severity};

use crate::{CheckReport, EngineError, engine::StepContext, event::READABLE, run::chain};

/// A part that is broken, so that no row of it is landed.
#[derive(Debug)]
pub(super) struct LeftOut {
    pub part: String,
    pub error: EngineError,
}

impl LeftOut {
    /// The part with its error; an error that concerns more than this part is returned as it is.
    pub(super) fn of(part: &Part, error: EngineError) -> Result<Self, EngineError> {
        let is_of_part = match &error {
            EngineError::Source { source, .. } => match source {
                ConnectorError::Broken { part: broken, .. }
                | ConnectorError::Unsupported { part: broken, .. } => *broken == part.id,
                ConnectorError::Refused { place, .. } => *place == part.id,
                ConnectorError::Unavailable { .. }
                | ConnectorError::Changed { .. }
                | ConnectorError::PositionLost { .. }
                | ConnectorError::Options { .. } => false,
            },
            _ => false,
        };
        if is_of_part { Ok(Self { part: part.id.clone(), error }) } else { Err(error) }
    }

    /// Notes for people, while the step runs, that the part was left out.
    pub(super) fn tell(&self, context: &StepContext) {
        let hint = self.error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        context.note(format!(
            "left out, and tried again by the next run: {} {}{hint}",
            self.error.code(),
            chain(&self.error)
        ));
    }
}

/// The check in the step's report that names the parts that were left out; `None` if there are none.
pub(super) fn report(left_out: &[LeftOut]) -> Option<CheckReport> {
    let first = left_out.first()?;
    let others = match left_out.len() - 1 {
        0 => String::new(),
        1 => " and 1 other part".to_owned(),
        more => format!(" and {more} other parts"),
    };
    let hint = first.error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    // The step's name says which source it is.
    let cause = match &first.error {
        EngineError::Source { source, .. } => chain(source),
        error => chain(error),
    };
    let why = format!("{cause} ({}){hint}", first.error.code());
    Some(CheckReport {
        check: CheckId::from(READABLE.to_owned()),
        severity: Severity::Warn,
        failed: left_out.len() as u64,
        rejected: 0,
        passed: false,
        observed: Some(if others.is_empty() {
            why.clone()
        } else {
            format!("{}{others}: {why}", first.part)
        }),
        message: Some(format!("{}{others} cannot be read and landed nothing: {why}", first.part)),
    })
}
