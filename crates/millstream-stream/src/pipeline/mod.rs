//! Stages that are put together: rows go in at the sources, and what follows comes out one output at a time.

mod build;
mod figures;

use std::fmt;

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::{
    Output, StateChange, StreamError,
    operator::{Correction, Operator},
    source::Source,
    state::{self, Entries, Reader, StateWriter, Stored, Writer},
    time::WATERMARK_MIN,
};

pub use build::{PipelineBuilder, StageId};
pub use figures::{PipelineFigures, StageFigures};

/// The number under which what belongs to no stage is saved.
const WHOLE: u16 = u16::MAX;
const DEFINITION: u8 = b'd';
const WATERMARKS: u8 = b'w';

/// Stages at work. It knows no clock, thread or store: equal calls give equal outputs.
///
/// Rows are pushed, and outputs are taken until there is none; only then the next rows are taken in. Nothing is computed ahead of the outputs that
/// are taken, so that a slow reader holds up the pipeline instead of filling memory. After an error it is restored from its last state.
pub struct Pipeline {
    stages: Vec<Stage>,
    fingerprint: u64,
    /// Whether every output of what was pushed has been taken.
    drained: bool,
    fresh: bool,
    failed: bool,
    /// Whether the definition is among the changes that were given out.
    told_definition: bool,
}

/// A stage with its place in the tree.
#[derive(Debug)]
struct Stage {
    work: Work,
    schema: SchemaRef,
    /// Who takes its rows, and as which of its inputs; nobody takes those of the last stage.
    consumer: Option<(usize, usize)>,
    figures: StageFigures,
}

#[derive(Debug)]
enum Work {
    Source(Source),
    Operator(Box<dyn Operator>),
}

impl Pipeline {
    /// The columns of the result.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.stages.last().map_or_else(
            || SchemaRef::new(arrow::datatypes::Schema::empty()),
            |stage| SchemaRef::clone(&stage.schema),
        )
    }

    /// Takes in rows of one partition of a source. `known` is the instant at which they were learned of, in microseconds since 1970 UTC, such as that of
    /// their entry in the log: with the clock's present instant a replay would give something else.
    ///
    /// # Errors
    ///
    /// The rows do not have the source's columns, the partition has ended or is none, or outputs have not been taken.
    pub fn push(
        &mut self,
        source: StageId,
        partition: u32,
        known: i64,
        rows: RecordBatch,
    ) -> Result<(), StreamError> {
        self.check_ready()?;
        let stage = self.source(source)?;
        let count = rows.num_rows() as u64;
        stage.0.push(partition, known, rows)?;
        stage.1.rows_in += count;
        self.taken_in();
        Ok(())
    }

    /// Tells that a partition gives no more rows. When all have ended, all windows are told.
    ///
    /// # Errors
    ///
    /// The partition has ended before or is none, or outputs have not been taken.
    pub fn end_partition(&mut self, source: StageId, partition: u32) -> Result<(), StreamError> {
        self.check_ready()?;
        self.source(source)?.0.end(partition)?;
        self.taken_in();
        Ok(())
    }

    /// Tells that no rows follow at all.
    ///
    /// # Errors
    ///
    /// Outputs have not been taken.
    pub fn end(&mut self) -> Result<(), StreamError> {
        self.check_ready()?;
        for stage in &mut self.stages {
            if let Work::Source(source) = &mut stage.work {
                source.end_all();
            }
        }
        self.taken_in();
        Ok(())
    }

    /// Tells the present instant, in microseconds since 1970 UTC: partitions without rows for a source's `idle_after` hold up nobody. What follows
    /// depends on when it is told; a replay that has to give the same tells the same instants at the same positions.
    ///
    /// # Errors
    ///
    /// Outputs have not been taken.
    pub fn idle(&mut self, now: i64) -> Result<(), StreamError> {
        self.check_ready()?;
        for stage in &mut self.stages {
            if let Work::Source(source) = &mut stage.work {
                source.idle(now);
            }
        }
        self.taken_in();
        Ok(())
    }

    /// The next output, or none when more has to be pushed first.
    ///
    /// # Errors
    ///
    /// An expression failed, or Arrow could not compute something. The pipeline is of no use then.
    pub fn next_output(&mut self) -> Result<Option<Output>, StreamError> {
        if self.failed {
            return Err(StreamError::Failed);
        }
        let output = self.advance();
        self.failed = output.is_err();
        self.drained = matches!(output, Ok(None));
        output
    }

    /// What has changed in the state since the last call, for a store that keeps it beside the positions of the rows pushed so far, in one
    /// atomic batch. The first call gives everything.
    ///
    /// # Errors
    ///
    /// Outputs have not been taken, or rows cannot be written down.
    pub fn changes(&mut self) -> Result<Vec<StateChange>, StreamError> {
        self.check_ready()?;
        let mut changes = Vec::new();
        if !std::mem::replace(&mut self.told_definition, true) {
            self.write_definition(&mut changes);
        }
        self.write(false, &mut changes)?;
        Ok(changes)
    }

    /// The whole state as bytes, with their version and a checksum. It does not count as a call of [`Pipeline::changes`].
    ///
    /// # Errors
    ///
    /// Outputs have not been taken, or rows cannot be written down.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, StreamError> {
        self.check_ready()?;
        let mut entries = Vec::new();
        self.write_definition(&mut entries);
        self.write(true, &mut entries)?;
        Ok(state::encode(&entries))
    }

    /// Takes over a snapshot, before any row. What follows is what would have followed in the pipeline that wrote it.
    ///
    /// # Errors
    ///
    /// The bytes are damaged, or of another version or definition; the pipeline is of no use then.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), StreamError> {
        self.restore_entries(state::decode(snapshot)?)
    }

    /// Takes over all entries of [`Pipeline::changes`] that a store holds, before any row.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::restore`].
    pub fn restore_entries(
        &mut self,
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StreamError> {
        if self.failed {
            return Err(StreamError::Failed);
        }
        if !self.fresh {
            return Err(StreamError::NotFresh);
        }
        self.fresh = false;
        let restored = state::verified(entries).and_then(|stored| self.read(&stored));
        self.failed = restored.is_err();
        restored
    }

    /// How far each stage has come, and what it holds.
    pub fn figures(&mut self) -> PipelineFigures {
        let stages = self.stages.iter_mut().map(|stage| {
            let mut figures = stage.figures.clone();
            match &mut stage.work {
                Work::Source(source) => figures.watermark = source.watermark(),
                Work::Operator(operator) => {
                    figures.state_bytes = operator.state_bytes();
                    figures.left_out = operator.left_out();
                }
            }
            figures
        });
        PipelineFigures { stages: stages.collect() }
    }

    fn check_ready(&self) -> Result<(), StreamError> {
        match (self.failed, self.drained) {
            (true, _) => Err(StreamError::Failed),
            (_, false) => Err(StreamError::Busy),
            _ => Ok(()),
        }
    }

    fn taken_in(&mut self) {
        self.drained = false;
        self.fresh = false;
    }

    fn source(&mut self, id: StageId) -> Result<(&mut Source, &mut StageFigures), StreamError> {
        match self.stages.get_mut(id.0) {
            Some(Stage { work: Work::Source(source), figures, .. }) => Ok((source, figures)),
            Some(stage) => Err(StreamError::NoSuchSource { stage: stage.figures.name.clone() }),
            None => Err(StreamError::NoSuchSource { stage: format!("stage {}", id.0) }),
        }
    }

    /// Later stages come first, so that each holds one unfinished output at most.
    fn advance(&mut self) -> Result<Option<Output>, StreamError> {
        let mut at = self.stages.len();
        while let Some(before) = at.checked_sub(1) {
            at = before;
            let Some(stage) = self.stages.get_mut(at) else { continue };
            let output = match &mut stage.work {
                Work::Source(source) => source.next(),
                Work::Operator(operator) => operator.next()?,
            };
            let Some(output) = output else { continue };
            if let Some(output) = self.route(at, output)? {
                return Ok(Some(output));
            }
            at = self.stages.len();
        }
        Ok(None)
    }

    /// Hands an output on to the next stage, or gives back one that is for the caller.
    fn route(&mut self, from: usize, output: Output) -> Result<Option<Output>, StreamError> {
        let Some(stage) = self.stages.get_mut(from) else { return Ok(None) };
        if !stage.figures.count(&output) {
            return Ok(None);
        }
        let consumer = match output {
            Output::Rows(_) | Output::Watermark(_) | Output::Merge(_) | Output::Delete(_) => stage.consumer,
            Output::Refused(_) => None,
        };
        let Some((to, input)) = consumer else { return Ok(Some(output)) };
        let Some(Stage { work: Work::Operator(operator), figures, .. }) = self.stages.get_mut(to) else {
            return Ok(None);
        };
        match output {
            Output::Rows(rows) => {
                figures.rows_in += rows.num_rows() as u64;
                operator.rows(input, rows)?;
            }
            Output::Watermark(watermark) => operator.watermark(input, watermark)?,
            Output::Merge(rows) => operator.correction(Correction::Merge(rows))?,
            Output::Delete(keys) => operator.correction(Correction::Delete(keys))?,
            Output::Refused(_) => {}
        }
        Ok(None)
    }

    fn write_definition(&self, changes: &mut Vec<StateChange>) {
        let mut out = Writer::default();
        out.u32(u32::from(state::FORMAT));
        out.u64(self.fingerprint);
        StateWriter::new(WHOLE, true, changes).put(DEFINITION, &[], out.bytes);
    }

    fn write(&mut self, whole: bool, changes: &mut Vec<StateChange>) -> Result<(), StreamError> {
        let mut watermarks = Writer::default();
        for (number, stage) in (0..WHOLE).zip(&mut self.stages) {
            watermarks.i64(stage.figures.watermark);
            let mut state = StateWriter::new(number, whole, changes);
            match &mut stage.work {
                Work::Source(source) => source.save(&mut state),
                Work::Operator(operator) => operator.save(&mut state)?,
            }
        }
        StateWriter::new(WHOLE, whole, changes).put(WATERMARKS, &[], watermarks.bytes);
        Ok(())
    }

    fn read(&mut self, stored: &Stored) -> Result<(), StreamError> {
        let whole = Entries::new(WHOLE, stored);
        let missing = || StreamError::damaged("the definition is missing");
        let mut definition = Reader::new(whole.one(DEFINITION).ok_or_else(missing)?);
        let found = u16::try_from(definition.u32()?).unwrap_or(u16::MAX);
        if found != state::FORMAT {
            return Err(StreamError::Format { found, known: state::FORMAT });
        }
        if definition.u64()? != self.fingerprint {
            return Err(StreamError::OtherDefinition);
        }
        let missing = || StreamError::damaged("the watermarks are missing");
        let mut watermarks = Reader::new(whole.one(WATERMARKS).ok_or_else(missing)?);
        for (number, stage) in (0..WHOLE).zip(&mut self.stages) {
            stage.figures.watermark = watermarks.i64()?;
            let entries = Entries::new(number, stored);
            match &mut stage.work {
                Work::Source(source) => source.restore(&entries)?,
                Work::Operator(operator) => operator.restore(&entries)?,
            }
        }
        self.told_definition = true;
        watermarks.end()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.stages.iter().map(|stage| &stage.figures.name);
        f.debug_struct("Pipeline").field("stages", &stages.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// The figures of a stage that has done nothing.
fn no_figures(name: &str) -> StageFigures {
    StageFigures { name: name.into(), watermark: WATERMARK_MIN, ..StageFigures::default() }
}
