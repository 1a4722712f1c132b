//! What was measured of steps, and how two runs differ.

use std::collections::BTreeMap;

use millstream_api::figures::{Cost, Figures, Pair, Receipt, RunDiff, StepDiff};
use millstream_state::{
    Cost as RecordedCost, Proof, Receipt as RecordedReceipt, RunOutcome, RunRecord, StepFigures, StepOutcome,
    StepRecord,
};
use millstream_types::{AssetId, AssetVersion};

use super::{Of, instant};

impl Of<&StepFigures> for Figures {
    fn of(figures: &StepFigures) -> Self {
        Self {
            ready: figures.ready.map(instant),
            waited_for: figures.waited_for.as_ref().map(ToString::to_string),
            started: figures.started.map(instant),
            queued_ms: figures.queued_us().map(|micros| micros / 1_000),
            retries: figures.retries,
            bytes_read: figures.bytes_read,
            bytes_written: figures.bytes_written,
            cpu_seconds: figures.cpu_us.map(millionths),
            memory_peak_bytes: figures.memory_peak,
            external_calls: figures.external_calls,
            receipt: figures.receipt.as_ref().map(Receipt::of),
            cost: figures.cost.as_ref().map(Cost::of),
            definition: figures.definition.clone(),
            inputs: figures
                .inputs
                .iter()
                .map(|(asset, version)| (asset.to_string(), version.number()))
                .collect(),
        }
    }
}

impl Of<&RecordedReceipt> for Receipt {
    fn of(receipt: &RecordedReceipt) -> Self {
        Self {
            proof: match receipt.proof {
                Proof::EachRow => "each_row",
                Proof::RowsMade => "rows_made",
            },
            holds: receipt.holds(),
            rows_in: receipt.rows_in,
            rows_made: receipt.rows_made,
            rows_out: receipt.rows_out,
            rows_rejected: receipt.rows_rejected,
            rows_filtered: receipt.rows_filtered,
        }
    }
}

impl Of<&RecordedCost> for Cost {
    fn of(cost: &RecordedCost) -> Self {
        Self {
            currency: cost.currency.clone(),
            total: millionths(cost.total()),
            cpu: millionths(cost.cpu),
            read: millionths(cost.read),
            calls: millionths(cost.calls),
            stored_month: cost.stored_month.map(millionths),
        }
    }
}

/// How the second run differs from the first, each with its steps.
impl Of<((&RunRecord, &[StepRecord]), (&RunRecord, &[StepRecord]))> for RunDiff {
    fn of(
        ((before, first), (after, second)): ((&RunRecord, &[StepRecord]), (&RunRecord, &[StepRecord])),
    ) -> Self {
        let by_asset = |steps: &'_ [StepRecord]| -> BTreeMap<AssetId, StepRecord> {
            steps.iter().map(|step| (step.asset.clone(), step.clone())).collect()
        };
        let (first, second) = (by_asset(first), by_asset(second));
        let alone = |steps: &BTreeMap<AssetId, StepRecord>, others: &BTreeMap<AssetId, StepRecord>| {
            steps.keys().filter(|asset| !others.contains_key(*asset)).map(ToString::to_string).collect()
        };
        let both = first.iter().filter_map(|(asset, step)| Some((step, second.get(asset)?)));
        let steps = |steps: &BTreeMap<AssetId, StepRecord>| steps.values().cloned().collect::<Vec<_>>();
        let (steps_before, steps_after) = (steps(&first), steps(&second));
        let cost = |steps: &[StepRecord]| total(steps).map(|cost| millionths(cost.total()));
        Self {
            before: before.run.to_string(),
            after: after.run.to_string(),
            command: Pair { before: before.command.clone(), after: after.command.clone() },
            outcome: Pair { before: outcome(before), after: outcome(after) },
            elapsed_ms: Pair { before: took(before), after: took(after) },
            cpu_seconds: Pair { before: cpu(&steps_before), after: cpu(&steps_after) },
            cost: Pair { before: cost(&steps_before), after: cost(&steps_after) },
            added: alone(&second, &first),
            removed: alone(&first, &second),
            steps: both.map(StepDiff::of).collect(),
        }
    }
}

impl Of<(&StepRecord, &StepRecord)> for StepDiff {
    fn of((before, after): (&StepRecord, &StepRecord)) -> Self {
        fn both<T>(
            (before, after): (&StepRecord, &StepRecord),
            figure: impl Fn(&StepFigures) -> Option<T>,
        ) -> Pair<Option<T>> {
            let of = |step: &StepRecord| step.figures.as_ref().and_then(&figure);
            Pair { before: of(before), after: of(after) }
        }
        let steps = (before, after);
        let ms = |step: &StepRecord| u64::try_from(step.elapsed.as_millis()).unwrap_or(u64::MAX);
        Self {
            asset: after.asset.to_string(),
            outcome: Pair {
                before: before.outcome.as_str().to_owned(),
                after: after.outcome.as_str().to_owned(),
            },
            reason: Pair { before: before.reason_text.clone(), after: after.reason_text.clone() },
            message: Pair { before: message(before), after: message(after) },
            elapsed_ms: Pair { before: ms(before), after: ms(after) },
            cpu_seconds: both(steps, |figures| figures.cpu_us.map(millionths)),
            bytes_read: both(steps, |figures| figures.bytes_read),
            bytes_written: both(steps, |figures| figures.bytes_written),
            rows_read: both(steps, |figures| figures.receipt?.rows_in),
            rows_written: Pair { before: before.rows_written, after: after.rows_written },
            rows_rejected: Pair { before: before.rows_rejected, after: after.rows_rejected },
            version: Pair {
                before: before.version.map(AssetVersion::number),
                after: after.version.map(AssetVersion::number),
            },
            definition_changed: definition(before).zip(definition(after)).map(|(one, other)| one != other),
            inputs_changed: inputs_changed(before, after),
        }
    }
}

fn outcome(run: &RunRecord) -> String {
    run.outcome.map_or("under_way", RunOutcome::as_str).to_owned()
}

fn took(run: &RunRecord) -> Option<u64> {
    u64::try_from(run.finished?.0.saturating_sub(run.started.0) / 1_000).ok()
}

/// The processor time of the steps, in seconds; `None` where that of none is known.
fn cpu(steps: &[StepRecord]) -> Option<f64> {
    let all = steps.iter().filter_map(|step| step.figures.as_ref()?.cpu_us);
    all.reduce(u64::saturating_add).map(millionths)
}

fn message(step: &StepRecord) -> Option<String> {
    match &step.outcome {
        StepOutcome::Failed { error, .. } => Some(error.clone()),
        StepOutcome::Halted { reason, .. } => Some(reason.clone()),
        StepOutcome::Skipped { because } => Some(because.to_string()),
        StepOutcome::Built | StepOutcome::Unchanged | StepOutcome::Cancelled => None,
    }
}

fn definition(step: &StepRecord) -> Option<&str> {
    step.figures.as_ref()?.definition.as_deref()
}

/// The inputs whose versions differ, where both steps tell theirs.
fn inputs_changed(before: &StepRecord, after: &StepRecord) -> BTreeMap<String, Pair<Option<i64>>> {
    let told = |step: &StepRecord| step.figures.clone().filter(|figures| figures.definition.is_some());
    let (Some(before), Some(after)) = (told(before), told(after)) else { return BTreeMap::new() };
    let assets: std::collections::BTreeSet<_> = before.inputs.keys().chain(after.inputs.keys()).collect();
    let pair = |asset: &AssetId| {
        let of = |inputs: &BTreeMap<AssetId, AssetVersion>| inputs.get(asset).map(|version| version.number());
        Pair { before: of(&before.inputs), after: of(&after.inputs) }
    };
    let changed = assets.into_iter().map(|asset| (asset.to_string(), pair(asset)));
    changed.filter(|(_, pair)| pair.before != pair.after).collect()
}

/// The costs of all steps together, if there are any, all in one currency.
pub(crate) fn total(steps: &[StepRecord]) -> Option<RecordedCost> {
    let costs = steps.iter().filter_map(|step| step.figures.as_ref()?.cost.clone());
    costs.reduce(|sum, cost| match sum.currency == cost.currency {
        true => RecordedCost {
            cpu: sum.cpu.saturating_add(cost.cpu),
            read: sum.read.saturating_add(cost.read),
            calls: sum.calls.saturating_add(cost.calls),
            // What is known: a step that stores nothing in the lake takes nothing away from that.
            stored_month: match (sum.stored_month, cost.stored_month) {
                (Some(sum), Some(month)) => Some(sum.saturating_add(month)),
                (sum, month) => sum.or(month),
            },
            currency: sum.currency,
        },
        // The prices were changed in the midst of the run: what came later counts.
        false => cost,
    })
}

#[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough for figures that are shown")]
fn millionths(number: u64) -> f64 {
    number as f64 / 1_000_000.0
}
