//! Steps that are offered to all processes which serve a project: who runs each of them, and how it ended.
//!
//! The process that schedules the project records an offer together with the decision that starts the step. A worker claims it by a
//! conditional change, runs the step, and writes its end. A claim is worth as much as the lease of its worker: when that is over,
//! the scheduling process writes that the step was lost. Whatever comes first is the end, and the scheduling process takes it in,
//! which forgets the offer.

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use millstream_schedule::Ending;
use millstream_types::{AssetId, AssetVersion, CheckId, Fingerprint, Span, TimestampMicros};

use crate::{
    HeldLease, LeaseToken, OfferNews, State, StateError,
    database::{Row, parameters},
    schedule::hold,
    store::{Work, changed},
    value,
};

/// The number of an offer among those of the lease under which it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferId {
    pub lease: LeaseToken,
    pub number: i64,
}

/// A step that whoever has room for it may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOffer {
    pub id: OfferId,
    pub asset: AssetId,
    pub terms: OfferTerms,
    /// Under which the run is recorded.
    pub command: String,
    /// When the step was due, if it answers a tick or an event.
    pub due: Option<TimestampMicros>,
    /// Whether an attempt before may have done something that is not recorded.
    pub is_again: bool,
    /// What is damaged of the asset, which is made again as a whole for it.
    pub repair: Option<String>,
    /// From 1.
    pub attempt: u32,
    /// Whether the step is the one that tries a place whose circuit is open.
    pub is_probe: bool,
    pub at: TimestampMicros,
}

/// What the definition of an asset says of its offered steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferTerms {
    /// A process that has another definition leaves the step to others.
    pub definition: Fingerprint,
    /// The connection through which the step reads.
    pub connection: Option<String>,
    /// The pools in each of which the step takes one place.
    pub pools: Vec<String>,
    /// Whether what the step makes lies on the machine that runs it, so that only the process that schedules may run it.
    pub is_local: bool,
}

/// An offer as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub offer: NewOffer,
    /// The lease of the worker that claimed it.
    pub worker: Option<LeaseToken>,
    pub claimed: Option<TimestampMicros>,
    pub end: Option<OfferEnd>,
}

/// How an offered step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferEnd {
    Ended {
        ending: Ending,
        took: Span,
        /// The versions that the step left.
        versions: BTreeMap<AssetId, AssetVersion>,
        /// Whether it may have committed something that is not recorded.
        is_doubtful: bool,
        /// In words, why it did not end well.
        fault: Option<String>,
        /// The checks that halted it.
        halted_by: Vec<CheckId>,
    },
    /// Somebody else works on the asset, so that the step did not begin; in words, who.
    KeptAway { because: String },
    /// The process that ran it is gone.
    Lost,
}

/// What changes among the offers together with a record of the schedule.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfferChanges<'a> {
    pub offered: &'a [NewOffer],
    /// The offers whose ends were taken in.
    pub taken_in: &'a [OfferId],
    /// The calls of webhooks that were taken in.
    pub called: &'a [WebhookCalls],
}

/// Calls of a webhook that were answered and are not taken in yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookCalls {
    pub name: String,
    /// A number that is another one after each further call.
    pub number: i64,
}

/// A process that runs offered steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepWorker {
    pub lease: HeldLease,
    /// So many steps it runs at once at most.
    pub places: u64,
}

const COLUMNS: &str = "lease, number, asset, definition, command, due, again, attempt, offered, worker, claimed, \
                       ending, took, versions, doubtful, because, repair, halted_by, connection, pools, is_probe, is_local";

impl State {
    /// Whether several machines may share the store, and so the work of a project.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.is_local()
    }

    /// The offers that are not taken in yet, in the order in which they were made.
    pub fn offers(&self) -> BoxFuture<'_, Result<Vec<Offer>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM offers ORDER BY lease, number");
            let rows = self.rows("read the offered steps", &sql, &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// The same for the process that schedules by `lease`, which answers for what is offered: steps that nobody has claimed are for the
    /// definitions that it has from now on, and those of assets that are not among `terms` are withdrawn. Errors with
    /// [`StateError::LeaseLost`] when another has taken the place of the lease.
    pub fn adopt_offers<'a>(
        &'a self,
        lease: LeaseToken,
        terms: &'a BTreeMap<AssetId, OfferTerms>,
    ) -> BoxFuture<'a, Result<Vec<Offer>, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("adopt the offered steps").await?;
                hold(&mut work, lease).await?;
                let sql = format!("SELECT {COLUMNS} FROM offers ORDER BY lease, number");
                let mut adopted = Vec::new();
                let mut is_changed = false;
                for row in work.rows(&sql, &[]).await? {
                    let mut found = parse(row)?;
                    if found.worker.is_none() && found.end.is_none() {
                        let Some(terms) = terms.get(&found.offer.asset) else {
                            forget(&mut work, found.offer.id).await?;
                            continue;
                        };
                        if found.offer.terms != *terms {
                            found.offer.terms = terms.clone();
                            redefine(&mut work, found.offer.id, terms).await?;
                            is_changed = true;
                        }
                    }
                    adopted.push(found);
                }
                if is_changed {
                    work.tell(OfferNews::Offered);
                }
                work.commit().await?;
                Ok::<_, StateError>(adopted)
            })
        }
        .boxed()
    }

    /// Makes it known that the holder of this lease runs up to `places` offered steps at once. Errors with
    /// [`StateError::LeaseLost`] when the lease is gone.
    pub fn begin_worker(&self, lease: LeaseToken, places: u64) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the worker").await?;
                hold(&mut work, lease).await?;
                let gone = "DELETE FROM workers WHERE lease NOT IN (SELECT token FROM leases)";
                work.execute(gone, &[]).await?;
                let sql = "INSERT INTO workers (lease, places) VALUES ($1, $2) \
                           ON CONFLICT (lease) DO UPDATE SET places = excluded.places";
                work.execute(sql, &parameters![lease.0, value::count_in(places)]).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// The workers that live. `now` is the time of the caller, used where the database has no clock of its own.
    pub fn workers(&self, now: TimestampMicros) -> BoxFuture<'_, Result<Vec<StepWorker>, StateError>> {
        async move {
            let mut places = BTreeMap::new();
            for mut row in self.rows("read the workers", "SELECT lease, places FROM workers", &[]).await? {
                places.insert(LeaseToken(row.integer(0)?), value::count_out(row.integer(1)?));
            }
            if places.is_empty() {
                return Ok(Vec::new());
            }
            let held = self.leases(now).await?.into_iter();
            Ok(held
                .filter_map(|lease| Some(StepWorker { places: *places.get(&lease.token)?, lease }))
                .collect())
        }
        .boxed()
    }

    /// Claims those of the offers that are free for the worker and still for the definition that is named, and gives them; those that
    /// it has claimed before are among them.
    /// Errors with [`StateError::LeaseLost`], and claims nothing, when the worker's lease is gone.
    pub fn claim_offers<'a>(
        &'a self,
        worker: LeaseToken,
        offers: &'a [(OfferId, Fingerprint)],
        now: TimestampMicros,
    ) -> BoxFuture<'a, Result<Vec<OfferId>, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("claim offered steps").await?;
                hold(&mut work, worker).await?;
                let mut claimed = Vec::with_capacity(offers.len());
                let sql = "UPDATE offers SET worker = $3, claimed = $4 WHERE lease = $1 AND number = $2 \
                           AND definition = $5 AND ending IS NULL AND (worker IS NULL OR worker = $3)";
                for (id, definition) in offers {
                    let definition = definition.to_string();
                    let values = parameters![id.lease.0, id.number, worker.0, now.0, &definition];
                    if work.execute(sql, &values).await? > 0 {
                        claimed.push(*id);
                    }
                }
                work.commit().await?;
                Ok::<_, StateError>(claimed)
            })
        }
        .boxed()
    }

    /// Writes how the step ended that the worker claimed. What was lost meanwhile, or taken in, stays as it is.
    pub fn end_offer<'a>(
        &'a self,
        worker: LeaseToken,
        id: OfferId,
        end: &'a OfferEnd,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the end of the offered step").await?;
                write_end(&mut work, id, worker, end).await?;
                work.tell(OfferNews::Ended);
                work.commit().await
            })
        }
        .boxed()
    }

    /// Gives back a step that the worker claimed and did not end: another one may claim it, and does once more what was done of it.
    pub fn hand_back(&self, worker: LeaseToken, id: OfferId) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("hand back the offered step").await?;
                let sql = "UPDATE offers SET worker = NULL, claimed = NULL, again = 1 WHERE lease = $1 \
                           AND number = $2 AND worker = $3 AND ending IS NULL";
                work.execute(sql, &parameters![id.lease.0, id.number, worker.0]).await?;
                // Whoever schedules sees to it that the step is for a definition that somebody has.
                work.tell(OfferNews::Offered);
                work.tell(OfferNews::Ended);
                work.commit().await
            })
        }
        .boxed()
    }

    /// Keeps a call of the webhook for the process that schedules. Once this returns, no crash loses it.
    pub fn record_webhook_call<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the call of the webhook").await?;
                let sql = "INSERT INTO webhook_calls (name, calls) VALUES ($1, 1) \
                           ON CONFLICT (name) DO UPDATE SET calls = webhook_calls.calls + 1";
                work.execute(sql, &parameters![name]).await?;
                work.tell(OfferNews::Called);
                work.commit().await
            })
        }
        .boxed()
    }

    /// The webhooks that were called and whose calls are not taken in yet.
    pub fn webhook_calls(&self) -> BoxFuture<'_, Result<Vec<WebhookCalls>, StateError>> {
        async move {
            let sql = "SELECT name, calls FROM webhook_calls ORDER BY name";
            let rows = self.rows("read the calls of webhooks", sql, &[]).await?;
            let parse = |mut row: Row| Ok(WebhookCalls { name: row.text(0)?, number: row.integer(1)? });
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// Writes for the process that schedules, by its `lease`, that the steps were lost whose workers are gone. One that has ended
    /// meanwhile has ended. Errors with [`StateError::LeaseLost`] when another has taken the place of the lease.
    pub fn lose_offers<'a>(
        &'a self,
        lease: LeaseToken,
        lost: &'a [(OfferId, LeaseToken)],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the loss of offered steps").await?;
                hold(&mut work, lease).await?;
                for (id, worker) in lost {
                    write_end(&mut work, *id, *worker, &OfferEnd::Lost).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }
}

/// Records what changes among the offers.
pub(crate) async fn change(work: &mut Work<'_>, changes: &OfferChanges<'_>) -> Result<(), StateError> {
    for id in changes.taken_in {
        forget(work, *id).await?;
    }
    for WebhookCalls { name, number } in changes.called {
        // A call that came meanwhile is taken in later.
        let sql = "DELETE FROM webhook_calls WHERE name = $1 AND calls = $2";
        work.execute(sql, &parameters![name, *number]).await?;
    }
    for offer in changes.offered {
        insert(work, offer).await?;
    }
    if !changes.offered.is_empty() {
        work.tell(OfferNews::Offered);
    }
    Ok(())
}

async fn insert(work: &mut Work<'_>, offer: &NewOffer) -> Result<(), StateError> {
    let OfferTerms { definition, connection, pools, is_local } = &offer.terms;
    let (definition, pools) = (definition.to_string(), pools_in(pools)?);
    let sql = "INSERT INTO offers (lease, number, asset, definition, command, due, again, attempt, offered, repair, \
               connection, pools, is_probe, is_local) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
               ON CONFLICT (lease, number) DO NOTHING";
    let values = parameters![
        offer.id.lease.0,
        offer.id.number,
        offer.asset.as_str(),
        &definition,
        &offer.command,
        offer.due.map(|due| due.0),
        offer.is_again,
        i64::from(offer.attempt),
        offer.at.0,
        offer.repair.as_ref(),
        connection.as_ref(),
        &pools,
        offer.is_probe,
        *is_local,
    ];
    work.execute(sql, &values).await?;
    Ok(())
}

async fn forget(work: &mut Work<'_>, id: OfferId) -> Result<(), StateError> {
    let sql = "DELETE FROM offers WHERE lease = $1 AND number = $2";
    work.execute(sql, &parameters![id.lease.0, id.number]).await?;
    Ok(())
}

async fn redefine(work: &mut Work<'_>, id: OfferId, terms: &OfferTerms) -> Result<(), StateError> {
    let OfferTerms { definition, connection, pools, is_local } = terms;
    let (definition, pools) = (definition.to_string(), pools_in(pools)?);
    let sql = "UPDATE offers SET definition = $3, connection = $4, pools = $5, is_local = $6 \
               WHERE lease = $1 AND number = $2";
    let values = parameters![id.lease.0, id.number, &definition, connection.as_ref(), &pools, *is_local];
    work.execute(sql, &values).await?;
    Ok(())
}

fn pools_in(pools: &[String]) -> Result<String, StateError> {
    serde_json::to_string(pools).map_err(|error| value::unknown("the pools of a step", error.to_string()))
}

async fn write_end(
    work: &mut Work<'_>,
    id: OfferId,
    worker: LeaseToken,
    end: &OfferEnd,
) -> Result<(), StateError> {
    let (mut took, mut versions, mut doubtful, mut because) = (None, None, None, None);
    let mut halted_by = None;
    let ending = match end {
        OfferEnd::Ended { ending, took: span, versions: left, is_doubtful, fault, halted_by: checks } => {
            let left: BTreeMap<&str, i64> =
                left.iter().map(|(asset, version)| (asset.as_str(), version.number())).collect();
            let left = serde_json::to_string(&left)
                .map_err(|error| value::unknown("the versions of a step", error.to_string()))?;
            (took, versions) = (Some(value::count_in(span.ms())), Some(left));
            (doubtful, because) = (Some(*is_doubtful), fault.as_ref());
            let checks: Vec<&str> = checks.iter().map(CheckId::as_str).collect();
            let checks = serde_json::to_string(&checks)
                .map_err(|error| value::unknown("the checks of a step", error.to_string()))?;
            halted_by = Some(checks);
            ending_in(*ending)
        }
        OfferEnd::KeptAway { because: words } => {
            because = Some(words);
            KEPT_AWAY
        }
        OfferEnd::Lost => LOST,
    };
    let sql = "UPDATE offers SET ending = $4, took = $5, versions = $6, doubtful = $7, because = $8, \
               halted_by = $9 \
               WHERE lease = $1 AND number = $2 AND worker = $3 AND ending IS NULL";
    let values = parameters![
        id.lease.0,
        id.number,
        worker.0,
        ending,
        took,
        versions.as_ref(),
        doubtful,
        because,
        halted_by.as_ref()
    ];
    work.execute(sql, &values).await?;
    Ok(())
}

const KEPT_AWAY: &str = "kept_away";
const LOST: &str = "lost";
const ENDINGS: [Ending; 5] =
    [Ending::Well, Ending::Badly, Ending::Unreachable, Ending::Passing, Ending::Hindered];

fn ending_in(ending: Ending) -> &'static str {
    match ending {
        Ending::Well => "well",
        Ending::Badly => "badly",
        Ending::Unreachable => "unreachable",
        Ending::Passing => "passing",
        Ending::Hindered => "hindered",
    }
}

fn parse(mut row: Row) -> Result<Offer, StateError> {
    let definition = row.text(3)?;
    let pools = row.text_or_null(19)?.unwrap_or_else(|| "[]".to_owned());
    let terms = OfferTerms {
        definition: definition.parse().map_err(|_| value::unknown("a definition", definition.as_str()))?,
        connection: row.text_or_null(18)?,
        pools: serde_json::from_str(&pools)
            .map_err(|_| value::unknown("the pools of a step", pools.as_str()))?,
        is_local: row.integer(21)? != 0,
    };
    let attempt = row.integer(7)?;
    let offer = NewOffer {
        id: OfferId { lease: LeaseToken(row.integer(0)?), number: row.integer(1)? },
        asset: AssetId::from(row.text(2)?),
        terms,
        command: row.text(4)?,
        due: row.integer_or_null(5)?.map(TimestampMicros),
        is_again: row.integer(6)? != 0,
        repair: row.text_or_null(16)?,
        attempt: u32::try_from(attempt)
            .map_err(|_| value::unknown("the number of an attempt", attempt.to_string()))?,
        is_probe: row.integer(20)? != 0,
        at: TimestampMicros(row.integer(8)?),
    };
    let worker = row.integer_or_null(9)?.map(LeaseToken);
    let claimed = row.integer_or_null(10)?.map(TimestampMicros);
    let end = row.text_or_null(11)?.map(|word| end(&word, &mut row)).transpose()?;
    Ok(Offer { offer, worker, claimed, end })
}

fn end(word: &str, row: &mut Row) -> Result<OfferEnd, StateError> {
    Ok(match word {
        KEPT_AWAY => OfferEnd::KeptAway { because: row.text_or_null(15)?.unwrap_or_default() },
        LOST => OfferEnd::Lost,
        word => {
            let left = row.text_or_null(13)?.unwrap_or_else(|| "{}".to_owned());
            let left: BTreeMap<String, i64> = serde_json::from_str(&left)
                .map_err(|_| value::unknown("the versions of a step", left.as_str()))?;
            let checks = row.text_or_null(17)?.unwrap_or_else(|| "[]".to_owned());
            let checks: Vec<String> = serde_json::from_str(&checks)
                .map_err(|_| value::unknown("the checks of a step", checks.as_str()))?;
            let version = |(asset, number)| (AssetId::from(asset), AssetVersion::numbered(number));
            OfferEnd::Ended {
                ending: value::word_out("the end of a step", word, &ENDINGS, ending_in)?,
                took: Span::from_ms(value::count_out(row.integer_or_null(12)?.unwrap_or(0))),
                versions: left.into_iter().map(version).collect(),
                is_doubtful: row.integer_or_null(14)?.unwrap_or(0) != 0,
                fault: row.text_or_null(15)?,
                halted_by: checks.into_iter().map(|check| CheckId::new(&check)).collect(),
            }
        }
    })
}
