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
    /// The promises that are broken.
    pub broken: BTreeMap<AssetId, Vec<BrokenSign>>,
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

/// A promise that is broken, as whoever watched it last found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenSign {
    pub promise: Promise,
    pub since: TimestampMicros,
    /// When it was judged last.
    pub judged_until: TimestampMicros,
}

/// The signs of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetSigns {
    /// What the last good version was made by.
    pub fingerprint: Fingerprint,
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

/// Each row has a word for what it is about, a name, three texts and four numbers.
const SIGNS: &str = "\
    SELECT 'asset', a.asset, a.fingerprint, a.message, a.code, a.status, a.version, a.built_at, a.bad_since, p.version, \
           CAST(CASE WHEN l.asset IS NULL THEN 0 ELSE 1 END AS BIGINT) \
      FROM assets a LEFT JOIN published p ON p.asset = a.asset LEFT JOIN leased_assets l ON l.asset = a.asset \
    UNION ALL \
    SELECT 'aside', asset, aside_definition, NULL, NULL, NULL, aside_since, failures, NULL, NULL, 0 \
      FROM scheduled_assets WHERE aside_since IS NOT NULL AND asset NOT IN (SELECT asset FROM resumptions) \
    UNION ALL \
    SELECT 'circuit', name, NULL, NULL, NULL, NULL, open_since, NULL, NULL, NULL, 0 \
      FROM circuits WHERE open_since IS NOT NULL \
    UNION ALL \
    SELECT 'damaged', asset, cause, NULL, NULL, NULL, found, NULL, NULL, NULL, 0 \
      FROM repairs WHERE state IN ('due', 'given_up') AND action <> 'resync' \
    UNION ALL \
    SELECT 'promise', asset, promise, NULL, NULL, NULL, broken_since, judged_until, NULL, NULL, 0 \
      FROM sla_promises WHERE broken_since IS NOT NULL";

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
            "circuit" => {
                self.circuits.insert(name, TimestampMicros(row.integer(6)?));
            }
            _ => {
                let promise = row.text(2)?;
                let promise = value::word_out("a promise", &promise, &Promise::ALL, Promise::as_str)?;
                let (since, judged_until) =
                    (TimestampMicros(row.integer(6)?), TimestampMicros(row.integer(7)?));
                let broken = BrokenSign { promise, since, judged_until };
                self.broken.entry(AssetId::from(name)).or_default().push(broken);
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
    })
}

fn fingerprint(text: &str) -> Result<Fingerprint, StateError> {
    text.parse().map_err(|_| value::unknown("a fingerprint", text))
}
