//! When the steps of a run waited and worked, as bars of text, and which of them decided how long the run took. Pure.

use std::{collections::BTreeMap, fmt::Write};

use millstream_state::{RunRecord, StepRecord};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    human,
    output::{CAUTION, FAINT, STRONG, styled},
    standing::between,
};

/// The width of the bars, in characters.
const WIDTH: u64 = 40;

/// The steps, in their order, that decided how long the run took: the last one to end, the one for which that one waited, and
/// so on to the beginning.
pub(crate) fn critical_path(steps: &[StepRecord]) -> Vec<AssetId> {
    let by_asset: BTreeMap<&AssetId, &StepRecord> = steps.iter().map(|step| (&step.asset, step)).collect();
    let worked = steps.iter().filter(|step| started(step).is_some());
    let mut path = Vec::new();
    let mut next = worked.max_by_key(|step| step.finished);
    // A record names each step once, so that a path that is longer than the run would go in a circle.
    while let Some(step) = next.filter(|_| path.len() < steps.len()) {
        path.push(step.asset.clone());
        let before = step.figures.as_ref().and_then(|figures| figures.waited_for.as_ref());
        next = before.and_then(|asset| by_asset.get(asset).copied());
    }
    path.reverse();
    path
}

fn started(step: &StepRecord) -> Option<TimestampMicros> {
    step.figures.as_ref()?.started
}

/// The bars of all steps that began, each in a line: `·` where a step waited although it could have started, `█` where it worked.
pub(super) fn bars(run: &RunRecord, steps: &[StepRecord]) -> String {
    let mut text = String::new();
    let worked: Vec<_> = steps.iter().filter(|step| started(step).is_some()).collect();
    let Some(end) = worked.iter().map(|step| step.finished).max() else { return text };
    let scale = Scale::new(run.started, end);
    let path = critical_path(steps);
    let name_width = worked.iter().map(|step| step.asset.as_str().chars().count()).max().unwrap_or(0);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:name_width$}    {}",
        "",
        styled(FAINT, format!("0{:>width$}", human::duration(between(run.started, end)), width = 39))
    );
    for step in worked {
        let is_critical = path.contains(&step.asset);
        let mark = if is_critical { styled(CAUTION, '*') } else { " ".to_owned() };
        let name = format!("{:name_width$}", step.asset.as_str());
        let name = if is_critical { styled(STRONG, name) } else { name };
        let took = human::duration(step.elapsed);
        let _ = writeln!(text, "{name}  {mark} {}  {took}", scale.bar(step));
    }
    if path.len() > 1 {
        let names: Vec<_> = path.iter().map(AssetId::as_str).collect();
        let _ = writeln!(text, "\n{} {}", styled(CAUTION, "* critical path:"), names.join(" → "));
    }
    text
}

/// The instants that the first and the last character of a bar stand for.
struct Scale {
    from: i64,
    length: u64,
}

impl Scale {
    fn new(from: TimestampMicros, until: TimestampMicros) -> Self {
        Self { from: from.0, length: u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0).max(1) }
    }

    /// The number of whole characters before the instant.
    fn place(&self, at: TimestampMicros) -> u64 {
        let since = u64::try_from(at.0.saturating_sub(self.from)).unwrap_or(0).min(self.length);
        let place = u128::from(since) * u128::from(WIDTH) / u128::from(self.length);
        u64::try_from(place).unwrap_or(WIDTH)
    }

    fn bar(&self, step: &StepRecord) -> String {
        let began = started(step).unwrap_or(step.finished);
        let ready = step.figures.as_ref().and_then(|figures| figures.ready).unwrap_or(began).min(began);
        // The shortest step has a character too.
        let first = self.place(began).min(WIDTH - 1);
        let last = self.place(step.finished).max(first + 1);
        let waited = self.place(ready).min(first);
        let part = |character: &str, count: u64| character.repeat(usize::try_from(count).unwrap_or(0));
        format!(
            "{}{}{}{}",
            part(" ", waited),
            styled(FAINT, part("·", first - waited)),
            part("█", last - first),
            part(" ", WIDTH - last)
        )
    }
}
