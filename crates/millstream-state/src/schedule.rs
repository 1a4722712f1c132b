//! What a scheduler has to find again: how far each trigger was answered, which steps run, and a log of what was decided.
//!
//! One process schedules a project at a time, under a lease; nothing is recorded for one whose lease is gone. The scheduler's
//! own crate says what each record means.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt};
use millstream_schedule::{RecordedAside, RecordedAsset, RecordedAttempt, RecordedTrigger, Trigger};
use millstream_types::{AssetId, AssetVersion, Span, TimestampMicros};

use crate::{
    LeaseToken, OfferChanges, State, StateError,
    database::{Row, parameters},
    offer,
    store::{Work, changed},
    value,
};

/// The decisions that are kept when older ones are forgotten, and after how many that is done again.
const DECISIONS_MAX: i64 = 10_000;
const FORGOTTEN_EACH: i64 = 200;

/// The decisions of one asset that are kept, so that one that is due all the time leaves room for others.
const DECISIONS_OF_ASSET_MAX: i64 = 200;

/// What one call of a scheduler changed, and what it decided.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleRecord<'a> {
    /// The lease under which the project is scheduled.
    pub lease: LeaseToken,
    /// The assets of which something changed, as they are now.
    pub assets: &'a [RecordedAsset],
    pub decisions: &'a [LoggedDecision],
}

/// A decision, for people who ask why something ran or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedDecision {
    /// The decision's number among those of its lease.
    pub number: i64,
    pub at: TimestampMicros,
    pub asset: AssetId,
    pub kind: DecisionKind,
    /// The reasons, in words.
    pub because: String,
}

/// What was decided of an asset that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecisionKind {
    Started,
    /// The asset does not run.
    Skipped,
    /// The asset waits.
    Held,
    /// The asset runs by itself no more, until it is resumed.
    SetAside,
    /// The asset was set aside, and runs by itself again.
    Resumed,
}

impl DecisionKind {
    const ALL: [Self; 5] = [Self::Started, Self::Skipped, Self::Held, Self::SetAside, Self::Resumed];

    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::SetAside => "set_aside",
            Self::Resumed => "resumed",
        }
    }
}

impl State {
    /// Records what a call of the scheduler changed, in one transaction. Errors with [`StateError::LeaseLost`], and records
    /// nothing, when another has taken the place of the lease.
    pub fn record_schedule<'a>(
        &'a self,
        record: &'a ScheduleRecord<'a>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        self.record_schedule_with(record, OfferChanges::default())
    }

    /// As [`Self::record_schedule`], together with what changes among the offers.
    pub fn record_schedule_with<'a>(
        &'a self,
        record: &'a ScheduleRecord<'a>,
        offers: OfferChanges<'a>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the schedule").await?;
                hold(&mut work, record.lease).await?;
                for asset in record.assets {
                    insert(&mut work, asset).await?;
                }
                offer::change(&mut work, &offers).await?;
                log(&mut work, record).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Forgets what is recorded of all scheduled assets but `kept`, so that one that comes back begins anew; decisions about
    /// them stay in the log. Errors with [`StateError::LeaseLost`], and forgets nothing, when another has taken the place of
    /// the lease.
    pub fn keep_scheduled<'a>(
        &'a self,
        lease: LeaseToken,
        kept: &'a BTreeSet<AssetId>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("forget assets of the schedule").await?;
                hold(&mut work, lease).await?;
                let sql = "SELECT asset FROM scheduled_assets UNION SELECT asset FROM scheduled_triggers";
                for mut row in work.rows(sql, &[]).await? {
                    let asset = AssetId::from(row.text(0)?);
                    if !kept.contains(&asset) {
                        let asset = parameters![asset.as_str()];
                        work.execute("DELETE FROM scheduled_triggers WHERE asset = $1", &asset).await?;
                        work.execute("DELETE FROM scheduled_assets WHERE asset = $1", &asset).await?;
                    }
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// What is recorded of all scheduled assets, by id. Whether they are stale is not recorded: they are said to be.
    pub fn scheduled_assets(&self) -> BoxFuture<'_, Result<Vec<RecordedAsset>, StateError>> {
        async move {
            let mut work = self.reading("read the schedule").await?;
            let sql = "SELECT asset, cause, answered, noted FROM scheduled_triggers ORDER BY asset, cause";
            let mut triggers: BTreeMap<String, Vec<RecordedTrigger>> = BTreeMap::new();
            for mut row in work.rows(sql, &[]).await? {
                triggers.entry(row.text(0)?).or_default().push(recorded_trigger(row)?);
            }
            let sql = "SELECT asset, attempt, attempt_fresh_as_of, fresh_as_of, durations, failures, \
                       unreachable, aside_since, aside_definition FROM scheduled_assets ORDER BY asset";
            let rows = work.rows(sql, &[]).await?;
            work.end().await?;
            rows.into_iter().map(|row| recorded_asset(row, &mut triggers)).collect()
        }
        .boxed()
    }

    /// The newest decisions first.
    pub fn schedule_decisions(&self, limit: usize) -> BoxFuture<'_, Result<Vec<LoggedDecision>, StateError>> {
        async move {
            let sql = "SELECT number, at, asset, decision, because FROM schedule_decisions \
                       ORDER BY place DESC LIMIT $1";
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = self.rows("read the decisions", sql, &parameters![limit]).await?;
            rows.into_iter().map(logged).collect()
        }
        .boxed()
    }

    /// The recorded version of every asset that has one.
    pub fn versions(&self) -> BoxFuture<'_, Result<BTreeMap<AssetId, AssetVersion>, StateError>> {
        async move {
            let sql = "SELECT asset, version FROM assets WHERE version IS NOT NULL";
            let rows = self.rows("read the versions of assets", sql, &[]).await?;
            let parse =
                |mut row: Row| Ok((AssetId::from(row.text(0)?), AssetVersion::numbered(row.integer(1)?)));
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

/// Errors when the lease is gone.
pub(crate) async fn hold(work: &mut Work<'_>, lease: LeaseToken) -> Result<(), StateError> {
    // The row is changed to itself, so that whoever takes the lease at this moment waits, or this does.
    let sql = "UPDATE leases SET until = until WHERE token = $1";
    match work.execute(sql, &parameters![lease.0]).await? {
        0 => Err(StateError::LeaseLost),
        _ => Ok(()),
    }
}

async fn insert(work: &mut Work<'_>, recorded: &RecordedAsset) -> Result<(), StateError> {
    let asset = recorded.asset.as_str();
    let durations: Vec<u64> = recorded.durations.iter().map(|span| span.ms()).collect();
    let durations = serde_json::to_string(&durations)
        .map_err(|error| value::unknown("the durations of steps", error.to_string()))?;
    let definition = recorded.aside.map(|aside| aside.definition.to_string());
    work.execute(
        "INSERT INTO scheduled_assets (asset, attempt, attempt_fresh_as_of, fresh_as_of, durations, \
         failures, unreachable, aside_since, aside_definition) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (asset) DO UPDATE SET attempt = excluded.attempt, \
         attempt_fresh_as_of = excluded.attempt_fresh_as_of, fresh_as_of = excluded.fresh_as_of, \
         durations = excluded.durations, failures = excluded.failures, \
         unreachable = excluded.unreachable, aside_since = excluded.aside_since, aside_definition = excluded.aside_definition",
        &parameters![
            asset,
            recorded.running.map(|running| i64::from(running.attempt)),
            recorded.running.map(|running| running.fresh_as_of.0),
            recorded.fresh_as_of.map(|at| at.0),
            &durations,
            i64::from(recorded.failures),
            recorded.is_unreachable,
            recorded.aside.map(|aside| aside.since.0),
            definition.as_ref(),
        ],
    )
    .await?;
    work.execute("DELETE FROM scheduled_triggers WHERE asset = $1", &parameters![asset]).await?;
    for trigger in &recorded.triggers {
        let cause = trigger_in(&trigger.trigger);
        let noted = trigger.noted.map(|at| at.0);
        let sql = "INSERT INTO scheduled_triggers (asset, cause, answered, noted) VALUES ($1, $2, $3, $4)";
        work.execute(sql, &parameters![asset, &cause, trigger.answered.0, noted]).await?;
    }
    Ok(())
}

async fn log(work: &mut Work<'_>, record: &ScheduleRecord<'_>) -> Result<(), StateError> {
    if record.decisions.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = record
        .decisions
        .iter()
        .map(|logged| {
            parameters![
                record.lease.0,
                logged.number,
                logged.at.0,
                logged.asset.as_str(),
                logged.kind.as_str(),
                &logged.because,
            ]
            .to_vec()
        })
        .collect();
    let sql = "INSERT INTO schedule_decisions (lease, number, at, asset, decision, because) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    work.execute_each(sql, &rows).await?;
    let assets: BTreeSet<&AssetId> = record.decisions.iter().map(|logged| &logged.asset).collect();
    let bounds: Vec<_> =
        assets.iter().map(|asset| parameters![asset.as_str(), DECISIONS_OF_ASSET_MAX].to_vec()).collect();
    let sql = "DELETE FROM schedule_decisions WHERE asset = $1 AND place <= \
               (SELECT place FROM schedule_decisions WHERE asset = $1 ORDER BY place DESC LIMIT 1 OFFSET $2)";
    work.execute_each(sql, &bounds).await?;
    // To find the place takes as long as reading so many decisions, so that it is not done each time.
    if !record.decisions.iter().any(|logged| logged.number % FORGOTTEN_EACH == 1) {
        return Ok(());
    }
    // The places have gaps where decisions of one asset were forgotten.
    let sql = "DELETE FROM schedule_decisions WHERE place <= \
               (SELECT place FROM schedule_decisions ORDER BY place DESC LIMIT 1 OFFSET $1)";
    work.execute(sql, &parameters![DECISIONS_MAX]).await?;
    Ok(())
}

fn recorded_asset(
    mut row: Row,
    triggers: &mut BTreeMap<String, Vec<RecordedTrigger>>,
) -> Result<RecordedAsset, StateError> {
    let id = row.text(0)?;
    let triggers = triggers.remove(&id).unwrap_or_default();
    let running = match (row.integer_or_null(1)?, row.integer_or_null(2)?) {
        (Some(attempt), Some(at)) => Some(RecordedAttempt {
            attempt: u32::try_from(attempt)
                .map_err(|_| value::unknown("the number of an attempt", attempt.to_string()))?,
            fresh_as_of: TimestampMicros(at),
        }),
        _ => None,
    };
    let fresh_as_of = row.integer_or_null(3)?.map(TimestampMicros);
    let text = row.text(4)?;
    let durations: Vec<u64> =
        serde_json::from_str(&text).map_err(|_| value::unknown("the durations of steps", text.as_str()))?;
    let durations = durations.into_iter().map(Span::from_ms).collect();
    let failures = u32::try_from(row.integer(5)?).unwrap_or(u32::MAX);
    let is_unreachable = row.integer(6)? != 0;
    let aside = match (row.integer_or_null(7)?, row.text_or_null(8)?) {
        (Some(since), Some(text)) => Some(RecordedAside {
            since: TimestampMicros(since),
            definition: text.parse().map_err(|_| value::unknown("a definition", text.as_str()))?,
        }),
        _ => None,
    };
    let new = RecordedAsset::new(AssetId::from(id));
    Ok(RecordedAsset { triggers, running, fresh_as_of, durations, failures, is_unreachable, aside, ..new })
}

fn recorded_trigger(mut row: Row) -> Result<RecordedTrigger, StateError> {
    Ok(RecordedTrigger {
        trigger: trigger_out(&row.text(1)?)?,
        answered: TimestampMicros(row.integer(2)?),
        noted: row.integer_or_null(3)?.map(TimestampMicros),
    })
}

fn logged(mut row: Row) -> Result<LoggedDecision, StateError> {
    let word = row.text(3)?;
    Ok(LoggedDecision {
        number: row.integer(0)?,
        at: TimestampMicros(row.integer(1)?),
        asset: AssetId::from(row.text(2)?),
        kind: value::word_out("a decision", &word, &DecisionKind::ALL, DecisionKind::as_str)?,
        because: row.text(4)?,
    })
}

/// A trigger as the store writes it: a word, and behind it what belongs to it.
fn trigger_in(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Manual => "manual".to_owned(),
        Trigger::OnChange => "on_change".to_owned(),
        Trigger::Every(span) => format!("every {}", span.ms()),
        Trigger::Cron(line) => format!("cron {line}"),
        Trigger::After(asset) => format!("after {asset}"),
        Trigger::NewFiles { poll } => format!("new_files {}", poll.ms()),
        Trigger::Events { every } => format!("events {}", every.ms()),
        Trigger::Webhook(name) => format!("webhook {name}"),
        Trigger::Freshness(span) => format!("freshness {}", span.ms()),
    }
}

fn trigger_out(text: &str) -> Result<Trigger, StateError> {
    let fault = || value::unknown("a trigger", text);
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let span = || rest.parse().map(Span::from_ms).map_err(|_| fault());
    Ok(match word {
        "manual" => Trigger::Manual,
        "on_change" => Trigger::OnChange,
        "every" => Trigger::Every(span()?),
        "cron" => Trigger::Cron(rest.parse().map_err(|_| fault())?),
        "after" => Trigger::After(AssetId::new(rest)),
        "new_files" => Trigger::NewFiles { poll: span()? },
        "events" => Trigger::Events { every: span()? },
        "webhook" => Trigger::Webhook(rest.to_owned()),
        "freshness" => Trigger::Freshness(span()?),
        _ => return Err(fault()),
    })
}
