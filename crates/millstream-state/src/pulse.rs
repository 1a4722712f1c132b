//! A cheap sign of whether anything happened: for those who watch, so that they read everything only when it did.

use futures::future::{BoxFuture, FutureExt};

use crate::{State, StateError};

/// Figures of which one differs after a run began or ended, a step ended, a lease was taken or given back, or housekeeping failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse(Vec<i64>);

/// Each figure is the end of an index, or counts a table that is small.
const FIGURES: &str = "SELECT coalesce((SELECT max(id) FROM steps), 0), \
    coalesce((SELECT started FROM runs ORDER BY started DESC, run DESC LIMIT 1), 0), \
    coalesce((SELECT finished FROM runs ORDER BY started DESC, run DESC LIMIT 1), 0), \
    coalesce((SELECT max(token) FROM leases), 0), \
    (SELECT count(*) FROM leases), \
    coalesce((SELECT max(place) FROM publications), 0), \
    CAST(coalesce((SELECT sum(version) FROM assets), 0) AS BIGINT), \
    CAST(coalesce((SELECT sum(failures) FROM housekeeping), 0) AS BIGINT)";

/// The number of figures.
const COUNT: usize = 8;

impl State {
    /// The present figures. While they stay equal, nothing that a status shows has changed but ages.
    pub fn pulse(&self) -> BoxFuture<'_, Result<Pulse, StateError>> {
        async move {
            let mut figures = Vec::with_capacity(COUNT);
            for mut row in self.rows("look whether something happened", FIGURES, &[]).await? {
                for column in 0..COUNT {
                    figures.push(row.integer(column)?);
                }
            }
            Ok(Pulse(figures))
        }
        .boxed()
    }
}
