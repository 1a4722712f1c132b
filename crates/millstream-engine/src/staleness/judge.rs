//! The decision which assets are stale: facts in, causes out.

use std::collections::BTreeMap;

use millstream_plan::{AssetFacts, AssetStatus, Graph};
use millstream_project::StepsSpec;
use millstream_schedule::Promise;
use millstream_state::{AssetSigns, StaleSigns};
use millstream_types::{AssetId, TimestampMicros};

use super::{Stale, StaleAssets, StaleCause};

/// What the project says, as far as staleness depends on it.
pub(super) struct Rules<'a> {
    pub graph: &'a Graph,
    /// The circuit of each source.
    pub circuits: &'a BTreeMap<AssetId, String>,
    pub steps: &'a BTreeMap<AssetId, StepsSpec>,
}

/// Which assets are stale. Of several causes that an asset has itself, the one is told that says most about what has to be done, with
/// the earliest instant of all; without one of its own, an asset is as stale as what it is made of.
pub(super) fn judge(rules: &Rules<'_>, signs: &StaleSigns) -> StaleAssets {
    let mut stale: BTreeMap<AssetId, Stale> = BTreeMap::new();
    for facts in rules.graph.topological() {
        let known = signs.assets.get(&facts.id).filter(|known| known.was_built());
        if known.is_none() && !facts.passes_through {
            continue;
        }
        let own = known.and_then(|known| own(rules, signs, facts, known));
        let found = own.or_else(|| {
            let mut inputs = rules.graph.inputs(&facts.id);
            let (input, of_input) = inputs.find_map(|input| Some((&input.id, stale.get(&input.id)?)))?;
            Some(Stale { since: of_input.since, cause: of_input.cause.passed_on(input) })
        });
        if let Some(found) = found {
            stale.insert(facts.id.clone(), found);
        }
    }
    StaleAssets(stale)
}

fn own(rules: &Rules<'_>, signs: &StaleSigns, facts: &AssetFacts, known: &AssetSigns) -> Option<Stale> {
    let asset = &facts.id;
    let causes: Vec<(Option<TimestampMicros>, StaleCause)> = [
        damage(signs, asset),
        aside(signs, asset, known),
        circuit(rules, signs, asset),
        attempt(known),
        withheld(asset, known),
        promise(rules, signs, asset),
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

fn aside(
    signs: &StaleSigns,
    asset: &AssetId,
    known: &AssetSigns,
) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let (since, failures) = *signs.aside.get(asset)?;
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

/// A step that takes too long says nothing of what the asset holds.
fn promise(
    rules: &Rules<'_>,
    signs: &StaleSigns,
    asset: &AssetId,
) -> Option<(Option<TimestampMicros>, StaleCause)> {
    let sla = &rules.steps.get(asset)?.sla;
    let is_made =
        |promise: &Promise| *promise != Promise::StepAtMost && sla.promises().any(|one| one == *promise);
    let broken = signs.broken.get(asset)?.iter().filter(|(promise, _)| is_made(promise));
    let (promise, since) = broken.min_by_key(|(_, since)| *since)?;
    Some((Some(*since), StaleCause::PromiseBroken { promise: sla.words(*promise) }))
}
