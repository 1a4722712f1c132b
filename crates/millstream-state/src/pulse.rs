//! A cheap sign of whether anything happened: for those who watch, so that they read everything only when it did.

use futures::future::{BoxFuture, FutureExt};

use crate::{State, StateError};

/// Figures of which one differs after a run began or ended, a step ended, a lease was taken or given back, housekeeping failed, a circuit
/// opened or closed, an asset was set aside or asked for, damage was found or seen to, or a promise was broken or kept again.
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
    CAST(coalesce((SELECT sum(failures) FROM housekeeping), 0) AS BIGINT), \
    (SELECT count(*) FROM circuits WHERE open_since IS NOT NULL), \
    coalesce((SELECT max(open_since) FROM circuits), 0), \
    (SELECT count(*) FROM scheduled_assets WHERE aside_since IS NOT NULL), \
    coalesce((SELECT max(aside_since) FROM scheduled_assets), 0), \
    (SELECT count(*) FROM resumptions), \
    coalesce((SELECT max(repair) FROM repairs), 0), \
    (SELECT count(*) FROM repairs WHERE state IN ('due', 'given_up')), \
    (SELECT count(*) FROM sla_promises WHERE broken_since IS NOT NULL), \
    coalesce((SELECT max(broken_since) FROM sla_promises), 0)";

/// The number of figures.
const COUNT: usize = 17;

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
