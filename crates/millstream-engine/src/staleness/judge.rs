//! The decision which assets are stale: facts in, causes out.

use std::collections::BTreeMap;

use millstream_lake::LakeError;
use millstream_plan::{AssetFacts, AssetStatus, Graph};
use millstream_project::StepsSpec;
use millstream_schedule::{Promise, Sla};
use millstream_state::{AsideSign, AssetSigns, PromiseSign, StaleSigns};
use millstream_types::{AssetId, AssetVersion, TimestampMicros};

use super::{Looked, Stale, StaleAssets, StaleCause, Unreadable};
use crate::assets::table_of;

/// Whoever watches a promise records that at least each minute. After so many microseconds without a record, nobody does.
const WATCHED_MAX: i64 = 3 * 60_000_000;

/// What the project says, as far as staleness depends on it.
pub(super) struct Rules<'a> {
    pub graph: &'a Graph,
    /// The circuit of each source.
    pub circuits: &'a BTreeMap<AssetId, String>,
    pub steps: &'a BTreeMap<AssetId, StepsSpec>,
    /// What was seen of the tables.
    pub looked: &'a Looked,
    pub now: TimestampMicros,
}

/// Which assets are stale. Of several causes that an asset has itself, the one is told that says most about what has to be done, with
/// the earliest instant of all; without one of its own, an asset is as stale as what it is made of, and of that as what is so longest. An
/// asset that has not taken in the newest version of an input is not stale for that alone: its next step does, and how long that may take
/// is a promise.
pub(super) fn judge(rules: &Rules<'_>, signs: &StaleSigns) -> StaleAssets {
    let mut stale: BTreeMap<AssetId, Stale> = BTreeMap::new();
    for facts in rules.graph.topological() {
        let known = signs.assets.get(&facts.id).filter(|known| known.was_built());
        if known.is_none() && !facts.passes_through {
            continue;
        }
        let own = known.and_then(|known| own(rules, signs, facts, known));
        let found = own.or_else(|| {
            let inputs = rules.graph.inputs(&facts.id);
            let inputs = inputs.filter_map(|input| Some((&input.id, stale.get(&input.id)?)));
            let (input, of_input) = inputs.min_by_key(|(_, of)| (of.since.is_none(), of.since))?;
            Some(Stale { since: of_input.since, cause: of_input.cause.passed_on(input) })
        });
        if let Some(found) = found {
            stale.insert(facts.id.clone(), found);
        }
    }
    stale.extend(left_behind(rules, signs));
    StaleAssets(stale)
}

/// The tables that the project defines no more: who names them still reads what their last step left.
fn left_behind<'a>(
    rules: &'a Rules<'_>,
    signs: &'a StaleSigns,
) -> impl Iterator<Item = (AssetId, Stale)> + 'a {
    let is_left = move |asset: &AssetId| asset.kind().is_none() && rules.graph.get(asset).is_none();
    let left = signs.assets.iter().filter(move |(asset, known)| is_left(asset) && known.was_built());
    left.map(|(asset, _)| (asset.clone(), Stale { since: None, cause: StaleCause::NotDefined }))
}

fn own(rules: &Rules<'_>, signs: &StaleSigns, facts: &AssetFacts, known: &AssetSigns) -> Option<Stale> {
    let asset = &facts.id;
    let causes: Vec<(Option<TimestampMicros>, StaleCause)> = [
        damage(signs, asset),
        unreadable(rules, asset, known),
        aside(signs, facts, known),
        circuit(rules, signs, asset),
        attempt(known),
        withheld(asset, known),
        signs.left_out.get(asset).map(|parts| (None, StaleCause::Incomplete { parts: parts.clone() })),
        rules.looked.too_old.get(asset).map(|check| (None, StaleCause::TooOld { check: check.clone() })),
        promise(rules, signs, asset, known),
        (known.fingerprint != facts.fingerprint).then_some((None, StaleCause::DefinitionChanged)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let since = causes.iter().filter_map(|(since, _)| *since).min();
    let (_, cause) = causes.into_iter().next()?;
    Some(Stale { since, cause })
}

fn damage(signs: &StaleSigns, asset: &AssetId) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let (found, damage) = signs.damaged.get(asset)?;
    Some((Some(*found), StaleCause::Damaged { damage: damage.clone() }))
}

/// A table that cannot be opened, or of which the version that readers take is gone.
fn unreadable(
    rules: &Rules<'_>,
    asset: &AssetId,
    known: &AssetSigns,
) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let lost = || {
        let table = table_of(asset).ok().filter(|_| known.published.is_some_and(AssetVersion::is_lost))?;
        Some(Unreadable::of(&LakeError::VersionLost { table }.into()))
    };
    let found = rules.looked.unreadable.get(asset).cloned().or_else(lost)?;
    Some((None, StaleCause::Unreadable { code: found.code.to_owned(), error: found.error }))
}

fn aside(
    signs: &StaleSigns,
    facts: &AssetFacts,
    known: &AssetSigns,
) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let AsideSign { since, failures, definition } = *signs.aside.get(&facts.id)?;
    // Only a process that schedules the project takes the record back, and none may be at work.
    if definition != facts.fingerprint || known.is_built_since(since) {
        return None;
    }
    let error = match &known.status {
        AssetStatus::Built => None,
        AssetStatus::Halted { reason } => Some(reason.clone()),
        AssetStatus::Failed { code, error } => Some(format!("{error} ({code})")),
    };
    Some((Some(since), StaleCause::SetAside { failures, error }))
}

fn circuit(
    rules: &Rules<'_>,
    signs: &StaleSigns,
    asset: &AssetId,
) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let circuit = rules.circuits.get(asset)?;
    let since = *signs.circuits.get(circuit)?;
    Some((Some(since), StaleCause::CircuitOpen { circuit: circuit.clone() }))
}

fn attempt(known: &AssetSigns) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let cause = match &known.status {
        AssetStatus::Built => return None,
        AssetStatus::Halted { reason } => StaleCause::Halted { reason: reason.clone() },
        AssetStatus::Failed { code, error } => {
            StaleCause::Failed { code: code.clone(), error: error.clone() }
        }
    };
    Some((known.bad_since, cause))
}

/// Sets of versions are of tables. While somebody writes the asset, the run that publishes the newer version may be under way.
fn withheld(asset: &AssetId, known: &AssetSigns) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let (version, published) = (known.version?, known.published?);
    let is_behind = !published.is_lost() && published < version && !known.is_leased && asset.kind().is_none();
    is_behind.then_some((Some(known.built_at), StaleCause::Withheld { version }))
}

/// A step that takes too long says nothing of what the asset holds. A promise that nobody watches any more is judged here, by what is
/// known of when the asset was built.
fn promise(
    rules: &Rules<'_>,
    signs: &StaleSigns,
    asset: &AssetId,
    known: &AssetSigns,
) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let sla = &rules.steps.get(asset)?.sla;
    let signs = signs.promises.get(asset).map_or(&[][..], Vec::as_slice);
    let broken = sla.promises().filter(|promise| *promise != Promise::StepAtMost);
    let broken = broken.filter_map(|promise| {
        let sign = signs.iter().find(|sign| sign.promise == promise);
        Some((broken_since(rules, sla, promise, sign, known)?, promise))
    });
    let (since, promise) = broken.min()?;
    Some((Some(since), StaleCause::PromiseBroken { promise: sla.words(promise) }))
}

fn broken_since(
    rules: &Rules<'_>,
    sla: &Sla,
    promise: Promise,
    sign: Option<&PromiseSign>,
    known: &AssetSigns,
) -> Option<TimestampMicros> {
    let is_watched = |sign: &&PromiseSign| rules.now.0.saturating_sub(sign.judged_until.0) <= WATCHED_MAX;
    if let Some(sign) = sign.filter(is_watched) {
        return sign.broken_since;
    }
    let fresh = known.fresh_as_of.map_or(known.built_at, |fresh| fresh.max(known.built_at));
    let since = sla.broken_since(promise, fresh, rules.now)?;
    Some(sign.and_then(|sign| sign.broken_since).filter(|_| !known.is_built_since(since)).unwrap_or(since))
}
