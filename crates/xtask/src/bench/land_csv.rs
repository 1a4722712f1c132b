//! Landing CSV; with `--large` also 10 GB of it in the same memory.

use super::{Context, Row, land};
use crate::Result;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let mut rows = land::land(context, "csv")?;
    if context.large {
        rows.push(land::land_large(context)?);
    }
    Ok(rows)
}
