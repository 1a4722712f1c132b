//! Receipts of steps, which are checked before what they prove becomes visible.

use millstream_lake::{DataFile, StagedFile};
use millstream_state::{Proof, Receipt};
use millstream_types::{AssetId, TableName};

use crate::EngineError;

/// Fails where the receipt of a change of `asset` does not hold.
pub(crate) fn check(asset: &AssetId, receipt: Receipt) -> Result<(), EngineError> {
    if receipt.holds() { Ok(()) } else { Err(EngineError::Receipt { asset: asset.clone(), receipt }) }
}

/// A receipt of rows that are each written, rejected or left out, of which none was yet.
pub(crate) fn of_each_row(rows_in: Option<u64>) -> Receipt {
    Receipt {
        proof: Proof::EachRow,
        rows_in,
        rows_made: rows_in.unwrap_or(0),
        rows_out: 0,
        rows_rejected: 0,
        rows_filtered: Some(0),
    }
}

/// Fails where rows of `files` were lost or doubled on their way to the files `kept`, which have those that stay. `gone` is how
/// many were taken out, as whoever took them out has counted them; `None` where nobody has. Files of other writers need not tell
/// how many rows they have, so that nothing can be proven of them.
pub(crate) fn check_rewritten(
    table: &TableName,
    files: &[DataFile],
    gone: Option<u64>,
    kept: &[StagedFile],
) -> Result<(), EngineError> {
    let rows_in = files.iter().map(DataFile::rows).sum::<Option<u64>>();
    if rows_in.is_none() || gone.is_none() {
        return Ok(());
    }
    check(&table.asset_id(), Receipt { rows_out: rows_of(kept), rows_filtered: gone, ..of_each_row(rows_in) })
}

/// The rows of staged files.
pub(crate) fn rows_of(files: &[StagedFile]) -> u64 {
    files.iter().map(StagedFile::rows).sum()
}
