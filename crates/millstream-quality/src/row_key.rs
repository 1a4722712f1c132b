//! The key by which rows replace each other, in rows of any origin: as they came, or as they are stored.

use arrow::array::{ArrayRef, RecordBatch, new_null_array};

use crate::{
    Contract, QualityError,
    coerce::coerce,
    contract::UniqueCheck,
    key::{KeyValues, Keys, keys_of},
};

/// The key columns of a contract that has a `unique` check over just these.
#[derive(Clone, Debug)]
pub struct RowKey {
    check: UniqueCheck,
}

/// The keys of a batch.
#[derive(Clone, Debug)]
pub struct RowKeys {
    /// The key of each row: equal for equal keys, as far as a hash of 128 bits tells them apart. `None` where a part of the
    /// key is null, or a value does not fit its column's type.
    pub keys: Vec<Option<u128>>,
    /// The key's columns in the contract's types.
    pub columns: Vec<ArrayRef>,
}

impl RowKey {
    /// The key of the columns `key`; `None` where the contract does not check that it is unique.
    #[must_use]
    pub fn of(contract: &Contract, key: &[String]) -> Option<Self> {
        let is_key = |check: &&UniqueCheck| {
            check.names.len() == key.len() && key.iter().all(|name| check.names.contains(name))
        };
        contract.unique_checks().iter().find(is_key).map(|check| Self { check: check.clone() })
    }

    /// The names of the key's columns, in the order of [`RowKeys::columns`].
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.check.names
    }

    /// The keys of `rows`, found by the names of their columns; an absent column is null throughout.
    pub fn read(&self, rows: &RecordBatch) -> Result<RowKeys, QualityError> {
        let column = |column: &crate::column::Column| match rows.column_by_name(column.name()) {
            Some(values) => Ok(coerce(values, &column.target)?.array),
            None => Ok(new_null_array(column.data_type(), rows.num_rows())),
        };
        let columns = self.check.columns.iter().map(column).collect::<Result<Vec<_>, QualityError>>()?;
        let Keys { values, nulls } = keys_of(&columns.iter().collect::<Vec<_>>());
        let values: Vec<u128> = match values {
            KeyValues::Int(values) => values.iter().map(|value| u128::from(value.cast_unsigned())).collect(),
            KeyValues::UInt(values) => values.iter().map(|value| u128::from(*value)).collect(),
            KeyValues::Hash(values) => values,
        };
        let is_whole = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let keys = values.into_iter().enumerate().map(|(row, key)| is_whole(row).then_some(key));
        Ok(RowKeys { keys: keys.collect(), columns })
    }
}
