//! What a run does, in which order, and why.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{AssetId, AssetVersion, CheckId};

use crate::{Graph, InputNow, Now, PlanError, Reason, Recorded, Selection, decide, graph::StoredInput};

/// What was seen in the world before planning.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What is new for an asset beside its stored inputs: the parts of a source that wait to be read, or a file of labels.
    pub parts: BTreeMap<AssetId, Vec<String>>,
    /// The newest version of every table that the lake has, tables of rejected rows included where some
    /// asset reads them; and the version of every asset of another kind, counted as its kind does.
    pub versions: BTreeMap<AssetId, AssetVersion>,
    /// The assets whose table or file is no longer there, with the version that was recorded.
    pub vanished: BTreeMap<AssetId, AssetVersion>,
    /// The assets whose source or table cannot be read, with what is wrong.
    pub unreadable: BTreeMap<AssetId, String>,
    /// The assets of which a freshness check no longer holds, by the clock alone.
    pub overdue: BTreeSet<AssetId>,
    /// How many partitions of an asset are missing, stale or failed.
    pub partitions_open: BTreeMap<AssetId, u64>,
    /// The assets of which rows are kept out because of what the tables hold into which their checks look: when one of these tables
    /// runs, such rows are judged again.
    pub kept_out: BTreeSet<AssetId>,
}

/// What the command asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub selection: Selection,
    /// Whether to rebuild the selected tables from the whole of their inputs. Sources are not read again for this: what
    /// they landed may no longer exist outside the lake.
    pub full_refresh: bool,
    /// Whether the selected assets run even if nothing has changed.
    pub force: bool,
}

/// The decisions for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunPlan {
    /// The steps, in an order in which they can run one by one.
    pub steps: Vec<PlannedStep>,
    /// The selected assets that are stored and up to date, in the order of the graph.
    pub up_to_date: Vec<AssetId>,
    /// The assets that would run if the command named them, in the order of the graph.
    pub by_hand: Vec<ByHand>,
}

/// An asset that runs only when a command names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    pub asset: AssetId,
    /// The reason to run, never [`Reason::UpToDate`].
    pub reason: Reason,
}

/// One asset that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    pub asset: AssetId,
    /// The reason to run, never [`Reason::UpToDate`].
    pub reason: Reason,
    /// The steps of this plan whose result this step reads, sorted; when one of them fails, this one is skipped.
    pub after: Vec<AssetId>,
    /// The steps of this plan whose result only this step's checks read, sorted; they end first, whether they fail or not.
    pub checks_after: Vec<AssetId>,
    /// Of some of the steps in `after`, the checks that alone keep this step from starting when they halt it.
    pub needs: BTreeMap<AssetId, BTreeSet<CheckId>>,
}

/// Decides for every selected asset. What is not selected is read in its present version.
///
/// Takes time linear in assets and edges. Errors when the selection means nothing, or when a step reads a
/// table that was never built and is not selected.
pub fn plan(
    graph: &Graph,
    recorded: &BTreeMap<AssetId, Recorded>,
    observed: &Observed,
    request: &Request,
) -> Result<RunPlan, PlanError> {
    let selected = selected_places(graph, &request.selection)?;
    let named = request.selection.named(graph)?;
    let mut runs = vec![false; graph.assets().len()];
    let mut changes = vec![false; graph.assets().len()];
    let mut run_plan = RunPlan::default();
    let mut inputs_now = Vec::new();
    for &place in graph.order() {
        let asset = graph.at(place);
        if !selected[place] || asset.passes_through {
            continue;
        }
        let inputs = graph.stored_inputs_at(place);
        inputs_now.clear();
        inputs_now.extend(inputs.iter().filter(|_| !asset.follows_events).map(|input| InputNow {
            table: &input.table,
            version: observed.versions.get(&input.table).copied(),
            changing: changes[input.producer],
        }));
        let is_judged_again = observed.kept_out.contains(&asset.id)
            && graph.checked_against_at(place).iter().any(|related| runs[*related]);
        let is_by_hand = asset.schedule.is_by_hand() && !named.contains(&asset.id);
        let is_forced = request.force || (request.full_refresh && !asset.reads_outside);
        let now = Now {
            version: observed.versions.get(&asset.id).copied(),
            inputs: &inputs_now,
            parts: observed.parts.get(&asset.id).map(Vec::as_slice).unwrap_or_default(),
            force: is_forced && !is_by_hand,
            vanished: observed.vanished.get(&asset.id).copied(),
            unreadable: observed.unreadable.get(&asset.id).map(String::as_str),
            overdue: observed.overdue.contains(&asset.id),
            partitions_open: observed
                .partitions_open
                .get(&asset.id)
                .copied()
                .unwrap_or(0)
                .max(u64::from(is_judged_again)),
        };
        match decide(asset, recorded.get(&asset.id), &now) {
            Reason::UpToDate => run_plan.up_to_date.push(asset.id.clone()),
            reason if is_by_hand => run_plan.by_hand.push(ByHand { asset: asset.id.clone(), reason }),
            reason => {
                check_inputs_exist(graph, recorded, observed, &runs, place)?;
                // An asset that is only checked again keeps its version.
                changes[place] = reason != Reason::Stale;
                run_plan.steps.push(PlannedStep {
                    asset: asset.id.clone(),
                    reason,
                    after: running(graph, &runs, inputs.iter().map(|input| input.producer)),
                    checks_after: running(graph, &runs, graph.checked_against_at(place).iter().copied()),
                    needs: asset.needs.clone(),
                });
                runs[place] = true;
            }
        }
    }
    Ok(run_plan)
}

fn selected_places(graph: &Graph, selection: &Selection) -> Result<Vec<bool>, PlanError> {
    if selection.is_all() {
        return Ok(vec![true; graph.assets().len()]);
    }
    let mut selected = vec![false; graph.assets().len()];
    for place in selection.resolve(graph)?.iter().filter_map(|id| graph.place(id)) {
        selected[place] = true;
    }
    Ok(selected)
}

fn check_inputs_exist(
    graph: &Graph,
    recorded: &BTreeMap<AssetId, Recorded>,
    observed: &Observed,
    runs: &[bool],
    place: usize,
) -> Result<(), PlanError> {
    let is_missing = |input: &&StoredInput| {
        let producer = &graph.at(input.producer).id;
        !runs[input.producer]
            && !observed.versions.contains_key(producer)
            && !recorded
                .get(producer)
                .is_some_and(|recorded| recorded.version.is_none() && recorded.was_built())
    };
    match graph.stored_inputs_at(place).iter().find(is_missing) {
        None => Ok(()),
        Some(input) => Err(PlanError::InputNeverBuilt {
            asset: graph.at(place).id.clone(),
            input: graph.at(input.producer).id.clone(),
        }),
    }
}

fn running(graph: &Graph, runs: &[bool], places: impl Iterator<Item = usize>) -> Vec<AssetId> {
    let mut places: Vec<usize> = places.filter(|place| runs[*place]).collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|place| graph.at(place).id.clone()).collect()
}
