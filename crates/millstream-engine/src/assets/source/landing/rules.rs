//! The rules by which rows of a source are let in: its contract over the columns, and what else holds for events. Whoever lets rows
//! of a source in, from its place or from the log, compiles them here.

use millstream_project::{Evolution, SourceSpec};
use millstream_quality::{Contract, ContractColumn, ContractOptions, Relations, StreamChecks};
use millstream_types::{Field, Span, TimestampMicros};

use crate::{EngineError, engine::World};

/// How far the time of an event may be ahead of its arrival where the contract says nothing.
const FUTURE: Span = Span::from_ms(3_600_000);

/// What rows are compiled against.
pub(crate) struct RowRules<'a> {
    pub source: &'a SourceSpec,
    /// The columns that rows are to have.
    pub columns: &'a [Field],
    /// The number of columns that were decided on before any row was read. Checks are counted by their numbers: those of columns
    /// that turn up come last, so that all others keep theirs.
    pub decided: usize,
    pub relations: &'a Relations,
    pub now: TimestampMicros,
}

impl RowRules<'_> {
    pub(crate) fn compile(&self, world: &World) -> Result<Contract, EngineError> {
        let contract = &self.source.contract;
        let columns = self.columns.iter().map(|field| {
            let promised = contract.columns.get(&field.name);
            ContractColumn {
                name: field.name.clone(),
                column_type: field.column_type.clone(),
                pii: promised.is_some_and(|column| column.pii),
                inferred: promised.is_none(),
            }
        });
        let options = ContractOptions {
            checks: &contract.checks,
            type_severity: contract.on_violation,
            relations: self.relations,
            extra: &[],
            now: self.now,
        };
        let takes_events = world.intake(&self.source.name).is_some();
        let ahead = contract.future.or(takes_events.then_some(FUTURE));
        let time = contract.time.as_ref().map(|time| time.value.as_str());
        let stream =
            StreamChecks { future: time.zip(ahead), only_declared: only_declared(world, self.source) };
        let columns = columns.collect::<Vec<_>>();
        Contract::compile_stream(&columns, self.decided, &options, &stream)
            .map_err(|source| EngineError::Quality { table: self.source.table(), source })
    }
}

/// Whether values outside of the contract's columns reject their rows, instead of halting the whole source: senders of events are
/// many, and one of them does not speak for the others.
pub(crate) fn only_declared(world: &World, source: &SourceSpec) -> bool {
    source.contract.evolution == Evolution::Freeze && world.intake(&source.name).is_some()
}
