//! Landing JSON lines.

use super::{Context, Row, land};
use crate::Result;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    land::land(context, "jsonl")
}
