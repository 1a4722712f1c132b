//! Entities with rows on more than one side.

use arrow::array::{ArrayRef, RecordBatch};

use super::{Example, Finding, Leak};
use crate::{
    DatasetError,
    dataset::{
        hash::hash_rows,
        scalar::{Scalar, scalar},
        split::Side,
        statistics::Distinct,
    },
};

/// Entities that are remembered; beyond that an even sample of them.
const ENTITIES_MAX: usize = 1 << 20;

/// Finds entities with rows on more than one side, by the key columns of one kind of entity.
#[derive(Debug)]
pub(crate) struct Entities {
    name: String,
    columns: Vec<usize>,
    /// For each entity that is remembered, one bit for each side on which it was seen.
    sides: Distinct<u8>,
    example: Option<Example>,
}

impl Entities {
    /// `columns` are those of the labels that hold the entity's key.
    pub(crate) fn new(name: &str, columns: &[usize]) -> Self {
        let sides = Distinct::new(ENTITIES_MAX);
        Self { name: name.into(), columns: columns.to_vec(), sides, example: None }
    }

    /// Adds label rows, the first of which has the number `first`. Rows on no side and rows without a key are left out.
    pub(crate) fn add(
        &mut self,
        labels: &RecordBatch,
        sides: &[Option<Side>],
        first: u64,
    ) -> Result<(), DatasetError> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|column| labels.column(*column).clone()).collect();
        let hashes = hash_rows(&keys, labels.num_rows(), 0)?;
        let nulls: Vec<_> = keys.iter().map(|key| key.logical_nulls()).collect();
        for (row, (hash, side)) in hashes.into_iter().zip(sides).enumerate() {
            let Some(side) = side else { continue };
            if nulls.iter().flatten().any(|nulls| nulls.is_null(row)) {
                continue;
            }
            let bit = match side {
                Side::Train => 1,
                Side::Validation => 2,
                Side::Test => 4,
            };
            let Some(seen) = self.sides.entry(hash, || 0) else { continue };
            *seen |= bit;
            if self.example.is_none() && seen.count_ones() > 1 {
                let value = Some(Scalar::Text(text(&keys, row)));
                self.example = Some(Example { row: first + row as u64, value, target: None });
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Option<Finding> {
        let shared = self.sides.values().filter(|sides| sides.count_ones() > 1).count() as u64;
        // The example may have been found before the sample was thinned out.
        self.example.map(|example| Finding {
            name: self.name,
            leak: Leak::SharedEntities { exact: self.sides.is_exact() },
            count: shared.saturating_mul(self.sides.scale()).max(1),
            example: Some(example),
        })
    }
}

fn text(keys: &[ArrayRef], row: usize) -> String {
    let texts = keys.iter().map(|key| scalar(key, row).map_or_else(String::new, |value| value.to_string()));
    texts.collect::<Vec<_>>().join(", ")
}
