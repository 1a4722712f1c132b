//! Leases: the right to write some assets, held until a time that the holder postpones while it lives.
//!
//! A lease has a token, and a later lease has a higher one. Whoever takes the place of a holder that is gone, or whose time
//! is over, ends that lease as a whole; should the holder come back, its token no longer exists, and nothing is recorded
//! for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    Holder, State, StateError,
    database::{Row, parameters},
    store::{Work, changed},
    value,
};

/// The number of a lease: no two have the same, and a later one has a higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseToken(pub i64);

/// A lease as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLease {
    pub token: LeaseToken,
    pub assets: BTreeSet<AssetId>,
    pub holder: Holder,
    /// The time when the lease ends unless the holder renews it, by the clock of the database where that has one.
    pub until: TimestampMicros,
}

/// The lease that a process asks for.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRequest<'a> {
    pub assets: &'a [AssetId],
    pub holder: &'a Holder,
    /// The time of the caller, used where the database has no clock of its own.
    pub now: TimestampMicros,
    pub length: Duration,
}

impl State {
    /// Takes all of the assets, or none. Errors at once with [`StateError::Locked`], which names the holder, while another
    /// process holds one of them. A lease whose time is over, or whose holder is known to be gone, keeps nobody away.
    pub fn take_lease<'a>(
        &'a self,
        request: &'a LeaseRequest<'a>,
    ) -> BoxFuture<'a, Result<LeaseToken, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("take the lease").await?;
                let (now, is_spared) = (work.now(request.now).await?, self.spares_leases());
                let (held, ended): (Vec<_>, Vec<_>) =
                    leases(&mut work).await?.into_iter().partition(|lease| {
                        lease.keeps_away(now, is_spared, self.is_local())
                            && !lease.holder.has_mark_of(request.holder)
                    });
                for lease in &ended {
                    end(&mut work, lease.token).await?;
                }
                let lease_of = |asset: &AssetId| held.iter().find(|lease| lease.assets.contains(asset));
                if let Some((asset, lease)) =
                    request.assets.iter().find_map(|asset| Some((asset, lease_of(asset)?)))
                {
                    // The leases that were ended stay ended.
                    work.commit().await?;
                    forget(&ended, request.holder);
                    return Err(locked(asset, &lease.holder, request.now));
                }
                let token = insert(&mut work, request, now).await?;
                work.commit().await?;
                forget(&ended, request.holder);
                Ok(token)
            })
        }
        .boxed()
    }

    /// Renews a lease, so that it ends `length` from now. Errors with [`StateError::LeaseLost`] when another has taken its
    /// place.
    pub fn renew_lease(
        &self,
        token: LeaseToken,
        now: TimestampMicros,
        length: Duration,
    ) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("renew the lease").await?;
                let until = after(work.now(now).await?, length);
                let sql = "UPDATE leases SET until = $2 WHERE token = $1";
                if work.execute(sql, &parameters![token.0, until.0]).await? == 0 {
                    return Err(StateError::LeaseLost);
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// Gives the assets of a lease back. A lease that is lost already is no error: there is nothing left to give.
    pub fn end_lease(&self, token: LeaseToken) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("end the lease").await?;
                end(&mut work, token).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Lets leases whose time is over keep others away for `grace` from now, as far as this process judges. One that was cut off
    /// from the store itself cannot know who else was, and holders that live renew their leases meanwhile. A holder that is known
    /// to be gone keeps nobody away even so.
    pub fn spare_leases(&self, grace: Duration) {
        let until = Instant::now().checked_add(grace);
        let mut spared = self.spared.lock().unwrap_or_else(PoisonError::into_inner);
        *spared = until.max(*spared);
    }

    fn spares_leases(&self) -> bool {
        self.spared.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// The leases that keep others away: without those whose time is over, or whose holders are known to be gone. Waits for
    /// nobody. `now` is the time of the caller, used where the database has no clock of its own.
    pub fn leases(&self, now: TimestampMicros) -> BoxFuture<'_, Result<Vec<HeldLease>, StateError>> {
        async move {
            let mut work = self.reading("read the leases").await?;
            let now = work.now(now).await?;
            let mut leases = leases(&mut work).await?;
            work.end().await?;
            let is_spared = self.spares_leases();
            leases.retain(|lease| lease.keeps_away(now, is_spared, self.is_local()));
            Ok(leases)
        }
        .boxed()
    }
}

impl HeldLease {
    fn keeps_away(&self, now: TimestampMicros, is_spared: bool, is_local: bool) -> bool {
        (is_spared || self.until > now) && !self.holder.is_gone(is_local)
    }
}

/// Refuses to go on for a run whose lease was taken from it.
pub(crate) async fn hold(work: &mut Work<'_>, run: &millstream_types::RunId) -> Result<(), StateError> {
    let sql =
        "SELECT 1 FROM runs WHERE run = $1 AND lease IS NOT NULL AND lease NOT IN (SELECT token FROM leases)";
    match work.row(sql, &parameters![run.as_str()]).await? {
        Some(_) => Err(StateError::LeaseLost),
        None => Ok(()),
    }
}

/// The leases that are not ended and whose holders are not known to be gone.
pub(crate) async fn alive(state: &State) -> Result<BTreeSet<LeaseToken>, StateError> {
    let sql = "SELECT token, holder, until FROM leases ORDER BY token";
    let leases = state.rows("read the leases", sql, &[]).await?.into_iter().map(parse);
    let leases = leases.collect::<Result<Vec<_>, _>>()?.into_iter();
    let is_alive = |lease: &HeldLease| !lease.holder.is_gone(state.is_local());
    Ok(leases.filter(is_alive).map(|lease| lease.token).collect())
}

/// The leases that are not ended, by token.
async fn leases(work: &mut Work<'_>) -> Result<Vec<HeldLease>, StateError> {
    let mut assets: BTreeMap<i64, BTreeSet<AssetId>> = BTreeMap::new();
    for mut row in work.rows("SELECT token, asset FROM leased_assets", &[]).await? {
        assets.entry(row.integer(0)?).or_default().insert(AssetId::from(row.text(1)?));
    }
    let rows = work.rows("SELECT token, holder, until FROM leases ORDER BY token", &[]).await?;
    let lease = |row| {
        let lease = parse(row)?;
        Ok(HeldLease { assets: assets.remove(&lease.token.0).unwrap_or_default(), ..lease })
    };
    rows.into_iter().map(lease).collect()
}

async fn insert(
    work: &mut Work<'_>,
    request: &LeaseRequest<'_>,
    now: TimestampMicros,
) -> Result<LeaseToken, StateError> {
    let holder = serde_json::to_string(request.holder)
        .map_err(|error| value::unknown("the holder of a lease", error.to_string()))?;
    let until = after(now, request.length);
    let sql = "INSERT INTO leases (holder, until) VALUES ($1, $2) RETURNING token";
    let row = work.row(sql, &parameters![&holder, until.0]).await?;
    let token = row.map(|mut row| row.integer(0)).transpose()?;
    let token = token.ok_or_else(|| value::unknown("a lease's number", "none"))?;
    let assets: Vec<_> =
        request.assets.iter().map(|asset| parameters![asset.as_str(), token].to_vec()).collect();
    work.execute_each(
        "INSERT INTO leased_assets (asset, token) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        &assets,
    )
    .await?;
    Ok(LeaseToken(token))
}

async fn end(work: &mut Work<'_>, token: LeaseToken) -> Result<(), StateError> {
    work.execute("DELETE FROM leased_assets WHERE token = $1", &parameters![token.0]).await?;
    work.execute("DELETE FROM leases WHERE token = $1", &parameters![token.0]).await?;
    Ok(())
}

/// Removes the files of the holders whose leases were ended, except that of `holder`, which asks for a lease.
fn forget(ended: &[HeldLease], holder: &Holder) {
    let others = ended.iter().filter(|lease| !lease.holder.has_mark_of(holder));
    others.for_each(|lease| lease.holder.forget());
}

fn after(now: TimestampMicros, length: Duration) -> TimestampMicros {
    TimestampMicros(now.0.saturating_add(value::duration_in(length)))
}

fn locked(asset: &AssetId, holder: &Holder, now: TimestampMicros) -> StateError {
    StateError::Locked { asset: asset.clone(), holder: Box::new(holder.clone()), age: holder.age(now) }
}

/// A lease, still without its assets.
fn parse(mut row: Row) -> Result<HeldLease, StateError> {
    let holder = row.text(1)?;
    Ok(HeldLease {
        token: LeaseToken(row.integer(0)?),
        assets: BTreeSet::new(),
        holder: serde_json::from_str(&holder)
            .map_err(|_| value::unknown("the holder of a lease", holder.as_str()))?,
        until: TimestampMicros(row.integer(2)?),
    })
}
