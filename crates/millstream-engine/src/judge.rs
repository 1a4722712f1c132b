//! The one way by which rows enter a table: they are judged by the table's contract and against the keys that the table has.
//! Rows that fail are written to the table of rejected rows with the reason, the others are handed on.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch},
    compute::filter,
};
use millstream_connector::{MalformedRow, Positions};
use millstream_lake::StagedFile;
use millstream_quality::{
    Contract, Evaluated, QualityError, RejectedRows, Sources, Tally, UniqueIndex, rejected_schema,
};
use millstream_types::{TableName, TimestampMicros};

use crate::{
    EngineError,
    engine::{StepContext, World},
    stored_keys::StoredKeys,
    writers::Writers,
};

/// Judges the rows of one step, batch after batch in their order.
pub(crate) struct Judge {
    world: Arc<World>,
    table: TableName,
    refused: RejectedRows,
    unique: UniqueIndex,
    stored: StoredKeys,
    rejected: Writers,
    pub tally: Tally,
}

/// The rows of a batch that passed.
pub(crate) struct Accepted {
    pub rows: RecordBatch,
    /// The number of rows of the batch that were rejected.
    pub rejected: u64,
    /// True for each row of the batch that passed; `None` when all did.
    mask: Option<BooleanArray>,
    table: TableName,
}

impl Judge {
    /// A judge for one step. `stored` are the keys of the rows that stay in the table; `epoch` is that of the landing or the
    /// build.
    pub(crate) fn new(
        context: &StepContext,
        table: &TableName,
        contract: &Contract,
        stored: StoredKeys,
        epoch: i64,
        now: TimestampMicros,
    ) -> Self {
        Self {
            world: context.world.clone(),
            table: table.clone(),
            refused: RejectedRows { run: context.run.clone(), epoch, now },
            unique: UniqueIndex::new(contract, 0),
            stored,
            rejected: Writers::new(&context.world.lake, &table.rejected(), rejected_schema(), 1),
            tally: Tally::default(),
        }
    }

    /// The same judge without a check of uniqueness, for rows that replace the rows with the same key.
    #[must_use]
    pub(crate) fn merging(self) -> Self {
        Self { unique: UniqueIndex::none(), ..self }
    }

    /// Judges `raw` rows, which the contract has not evaluated yet.
    pub(crate) async fn judge(
        &mut self,
        contract: &Contract,
        raw: &RecordBatch,
        positions: &Positions,
        sources: &Sources<'_>,
    ) -> Result<Accepted, EngineError> {
        let evaluated = contract.evaluate(raw).map_err(|source| self.quality(source))?;
        self.judge_evaluated(contract, raw, evaluated, positions, sources).await
    }

    /// Judges rows that the contract has evaluated already.
    pub(crate) async fn judge_evaluated(
        &mut self,
        contract: &Contract,
        raw: &RecordBatch,
        mut evaluated: Evaluated,
        positions: &Positions,
        sources: &Sources<'_>,
    ) -> Result<Accepted, EngineError> {
        self.stored.load_near(&self.world, &evaluated.rows, &mut self.unique).await?;
        self.unique.check(&mut evaluated);
        self.tally.merge(&Tally::of(&evaluated));
        let rejected = evaluated.rejected_count();
        if rejected > 0 {
            let batch = self.refused.build(contract, raw, &evaluated, positions, sources);
            self.rejected.write(batch.map_err(|source| self.quality(source))?).await?;
        }
        Ok(Accepted {
            rows: evaluated.accepted().map_err(|source| self.quality(source))?,
            rejected: rejected as u64,
            mask: evaluated.accepted_mask(),
            table: self.table.clone(),
        })
    }

    /// Writes raw text, which could not be decoded into rows, to the table of rejected rows.
    pub(crate) async fn reject_malformed(
        &mut self,
        malformed: &[MalformedRow],
        part: &str,
    ) -> Result<(), EngineError> {
        self.tally.add_malformed(malformed.len() as u64);
        if malformed.is_empty() {
            return Ok(());
        }
        let batch = self.refused.malformed(malformed, part).map_err(|source| self.quality(source))?;
        self.rejected.write(batch).await
    }

    /// Writes rows that come from the table of rejected rows back to it, as they are.
    pub(crate) async fn keep_rejected(&mut self, rows: RecordBatch) -> Result<(), EngineError> {
        self.rejected.write(rows).await
    }

    /// Closes the staged files of rejected rows, and returns them with the figures of all rows.
    pub(crate) async fn finish(self) -> Result<(Vec<StagedFile>, Tally), EngineError> {
        Ok((self.rejected.finish().await?, self.tally))
    }

    fn quality(&self, source: QualityError) -> EngineError {
        EngineError::Quality { table: self.table.clone(), source }
    }
}

impl Accepted {
    /// The values of a further column, with one value for each row of the batch, that belong to the rows that passed.
    pub(crate) fn of(&self, values: &ArrayRef) -> Result<ArrayRef, EngineError> {
        let Some(mask) = &self.mask else { return Ok(values.clone()) };
        filter(values, mask).map_err(|source| EngineError::Compute { table: self.table.clone(), source })
    }
}
