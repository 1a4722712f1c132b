//! What is recorded that may keep an asset from being what it should be: all of it in one statement over small tables, since
//! servers ask for it all the time.

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use millstream_plan::AssetStatus;
use millstream_schedule::Promise;
use millstream_types::{AssetId, AssetVersion, Fingerprint, TimestampMicros};

use crate::{State, StateError, database::Row, value};

/// The signs of a project at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaleSigns {
    /// Every asset of which an attempt is recorded.
    pub assets: BTreeMap<AssetId, AssetSigns>,
    /// The assets that are set aside, without those that were asked for since.
    pub aside: BTreeMap<AssetId, AsideSign>,
    /// The circuits that are not closed, and since when.
    pub circuits: BTreeMap<String, TimestampMicros>,
    /// The assets that are damaged and not made again yet: since when that is known, and what is damaged.
    pub damaged: BTreeMap<AssetId, (TimestampMicros, String)>,
    /// The sources that landed without some parts, and the words for these.
    pub left_out: BTreeMap<AssetId, String>,
    /// The promises that somebody has watched.
    pub promises: BTreeMap<AssetId, Vec<PromiseSign>>,
}

/// An asset that runs by itself no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsideSign {
    pub since: TimestampMicros,
    /// How often in a row it failed before.
    pub failures: u32,
    /// The definition that failed.
    pub definition: Fingerprint,
}

/// A promise, as whoever watched it last found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromiseSign {
    pub promise: Promise,
    /// Since when it is broken; `None` while it is kept.
    pub broken_since: Option<TimestampMicros>,
    /// When it was judged last.
    pub judged_until: TimestampMicros,
}

/// The signs of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetSigns {
    /// What the last good version was made by.
    pub fingerprint: Fingerprint,
    /// The newest version on record, also that of partitions whose step has not ended.
    pub version: Option<AssetVersion>,
    pub built_at: TimestampMicros,
    /// How the last attempt ended.
    pub status: AssetStatus,
    /// Since when attempts have ended badly, one after the other.
    pub bad_since: Option<TimestampMicros>,
    /// The version that readers take.
    pub published: Option<AssetVersion>,
    /// Whether somebody has the right to write the asset.
    pub is_leased: bool,
    /// As fresh as of this instant is what the asset holds, by the word of a process that schedules the project.
    pub fresh_as_of: Option<TimestampMicros>,
}

impl AssetSigns {
    /// Whether some attempt ever left something to read.
    #[must_use]
    pub fn was_built(&self) -> bool {
        self.version.is_some() || self.status == AssetStatus::Built
    }

    /// Whether the last attempt ended well, after this instant.
    #[must_use]
    pub fn is_built_since(&self, instant: TimestampMicros) -> bool {
        self.status == AssetStatus::Built && self.built_at > instant
    }
}

/// Each row has a word for what it is about, a name, three texts, a word and six numbers.
const SIGNS: &str = "\
    SELECT 'asset', a.asset, a.fingerprint, a.message, a.code, a.status, \
           CASE WHEN t.version > a.version THEN t.version ELSE a.version END, a.built_at, a.bad_since, p.version, \
           CAST(CASE WHEN l.asset IS NULL THEN 0 ELSE 1 END AS BIGINT), f.fresh_as_of \
      FROM assets a LEFT JOIN published p ON p.asset = a.asset LEFT JOIN leased_assets l ON l.asset = a.asset \
           LEFT JOIN partitioned_assets t ON t.asset = a.asset LEFT JOIN scheduled_assets f ON f.asset = a.asset \
    UNION ALL \
    SELECT 'aside', asset, aside_definition, NULL, NULL, NULL, aside_since, failures, NULL, NULL, 0, NULL \
      FROM scheduled_assets WHERE aside_since IS NOT NULL AND asset NOT IN (SELECT asset FROM resumptions) \
    UNION ALL \
    SELECT 'circuit', name, NULL, NULL, NULL, NULL, open_since, NULL, NULL, NULL, 0, NULL \
      FROM circuits WHERE open_since IS NOT NULL \
    UNION ALL \
    SELECT 'damaged', asset, cause, NULL, NULL, NULL, found, NULL, NULL, NULL, 0, NULL \
      FROM repairs WHERE state IN ('due', 'given_up') AND action <> 'resync' \
    UNION ALL \
    SELECT 'left_out', c.asset, c.observed, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL \
      FROM check_results c JOIN steps s ON s.run = c.run AND s.asset = c.asset \
      WHERE s.id IN (SELECT max(id) FROM steps WHERE outcome IN ('built', 'unchanged') GROUP BY asset) \
        AND c.check_id = 'readable' AND c.passed = 0 \
    UNION ALL \
    SELECT 'promise', asset, promise, NULL, NULL, NULL, broken_since, judged_until, NULL, NULL, 0, NULL FROM sla_promises";

impl State {
    /// What is recorded that may keep assets from being what they should be. `now` is the time of the caller, used where the database has
    /// no clock of its own.
    pub fn stale_signs(&self, now: TimestampMicros) -> BoxFuture<'_, Result<StaleSigns, StateError>> {
        async move {
            let mut signs = StaleSigns::default();
            for row in self.rows("read what makes assets stale", SIGNS, &[]).await? {
                signs.add(row)?;
            }
            // The lease of a process that died lies there until somebody takes one, and means nothing.
            if signs.assets.values().any(|asset| asset.is_leased) {
                let leases = self.leases(now).await?;
                for (asset, sign) in signs.assets.iter_mut().filter(|(_, sign)| sign.is_leased) {
                    sign.is_leased = leases.iter().any(|lease| lease.assets.contains(asset));
                }
            }
            Ok(signs)
        }
        .boxed()
    }
}

impl StaleSigns {
    fn add(&mut self, mut row: Row) -> Result<(), StateError> {
        let (word, name) = (row.text(0)?, row.text(1)?);
        match word.as_str() {
            "asset" => {
                self.assets.insert(AssetId::from(name), asset(row)?);
            }
            "aside" => {
                let failures = u32::try_from(row.integer(7)?).unwrap_or(u32::MAX);
                let (since, definition) = (TimestampMicros(row.integer(6)?), fingerprint(&row.text(2)?)?);
                self.aside.insert(AssetId::from(name), AsideSign { since, failures, definition });
            }
            "damaged" => {
                let (cause, found) = (row.text(2)?, TimestampMicros(row.integer(6)?));
                self.damaged.insert(AssetId::from(name), (found, cause));
            }
            "left_out" => {
                self.left_out.insert(AssetId::from(name), row.text_or_null(2)?.unwrap_or_default());
            }
            "circuit" => {
                self.circuits.insert(name, TimestampMicros(row.integer(6)?));
            }
            _ => {
                let promise = row.text(2)?;
                let promise = value::word_out("a promise", &promise, &Promise::ALL, Promise::as_str)?;
                let broken_since = row.integer_or_null(6)?.map(TimestampMicros);
                let judged_until = TimestampMicros(row.integer(7)?);
                let sign = PromiseSign { promise, broken_since, judged_until };
                self.promises.entry(AssetId::from(name)).or_default().push(sign);
            }
        }
        Ok(())
    }
}

fn asset(mut row: Row) -> Result<AssetSigns, StateError> {
    let (made_by, word) = (row.text(2)?, row.text(5)?);
    let message = row.text_or_null(3)?.unwrap_or_default();
    let status = match word.as_str() {
        "built" => AssetStatus::Built,
        "halted" => AssetStatus::Halted { reason: message },
        "failed" => AssetStatus::Failed { code: row.text_or_null(4)?.unwrap_or_default(), error: message },
        other => return Err(value::unknown("an asset's status", other)),
    };
    Ok(AssetSigns {
        fingerprint: fingerprint(&made_by)?,
        version: row.version_or_null(6)?,
        built_at: TimestampMicros(row.integer(7)?),
        status,
        bad_since: row.integer_or_null(8)?.map(TimestampMicros),
        published: row.version_or_null(9)?,
        is_leased: row.integer(10)? != 0,
        fresh_as_of: row.integer_or_null(11)?.map(TimestampMicros),
    })
}

fn fingerprint(text: &str) -> Result<Fingerprint, StateError> {
    text.parse().map_err(|_| value::unknown("a fingerprint", text))
}
