//! A scheduler on a table: a project in a few words, a clock in the hand, decisions as text.

use std::{collections::BTreeMap, num::NonZeroUsize};

use millstream_schedule::{
    CatchUp, Decision, Ending, GoesOn, Limits, RecordedAsset, ScheduledAsset, Scheduler, Trigger,
};
use millstream_types::{AssetId, AssetVersion, CheckId, Fingerprint, Span, TimestampMicros};

/// An asset that runs on change; without inputs it is a source.
pub(crate) fn asset(id: &str, inputs: &[&str]) -> ScheduledAsset {
    ScheduledAsset {
        id: AssetId::new(id),
        definition: Fingerprint::new([1; 32]),
        inputs: inputs.iter().map(|input| AssetId::new(input)).collect(),
        reads_outside: inputs.is_empty(),
        triggers: vec![Trigger::OnChange],
        needs: BTreeMap::new(),
        catch_up: CatchUp::Latest,
        priority: 0,
        connection: None,
        pools: Vec::new(),
        circuit: None,
        set_aside_after: None,
        is_promised: false,
    }
}

/// An asset with these triggers and no others.
pub(crate) fn triggered(id: &str, inputs: &[&str], triggers: &[&str]) -> ScheduledAsset {
    ScheduledAsset {
        triggers: triggers.iter().map(|text| text.parse().unwrap()).collect(),
        ..asset(id, inputs)
    }
}

pub(crate) fn steps(count: usize) -> Limits {
    Limits::of(NonZeroUsize::new(count).unwrap())
}

/// A scheduler with its store and its clock.
pub(crate) struct Table {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: TimestampMicros,
    recorded: BTreeMap<AssetId, RecordedAsset>,
    /// The assets as they were at first.
    first: BTreeMap<AssetId, ScheduledAsset>,
    versions: i64,
}

impl Table {
    /// At noon. Everything is up to date, and is as fresh as of that instant.
    pub(crate) fn set(assets: Vec<ScheduledAsset>, limits: &Limits) -> Self {
        let now = crate::time::at("2026-11-30T12:00:00Z");
        let built = |asset: &ScheduledAsset| RecordedAsset {
            stale: false,
            fresh_as_of: Some(now),
            ..RecordedAsset::new(asset.id.clone())
        };
        let recorded: Vec<_> = assets.iter().map(built).collect();
        let first = assets.iter().map(|asset| (asset.id.clone(), asset.clone())).collect();
        let (scheduler, decisions) = Scheduler::restore(assets, limits, &recorded, now).unwrap();
        let recorded = recorded.into_iter().map(|recorded| (recorded.asset.clone(), recorded)).collect();
        let mut table = Self { scheduler, now, recorded, first, versions: 0 };
        table.record(&decisions);
        table
    }

    pub(crate) fn later(&mut self, span: &str) -> &mut Self {
        self.now.0 += i64::try_from(span.parse::<Span>().unwrap().ms()).unwrap() * 1_000;
        self
    }

    pub(crate) fn tick(&mut self) -> String {
        let decisions = self.scheduler.tick(self.now);
        self.record(&decisions)
    }

    /// Goes on to the next wake, and ticks.
    pub(crate) fn wake(&mut self) -> String {
        self.now = self.scheduler.next_wake().unwrap().max(self.now);
        self.tick()
    }

    pub(crate) fn webhook(&mut self, name: &str) -> String {
        let decisions = self.scheduler.triggered(name, self.now);
        self.record(&decisions)
    }

    pub(crate) fn files(&mut self, id: &str) -> String {
        let decisions = self.scheduler.files_appeared(&AssetId::new(id), self.now);
        self.record(&decisions)
    }

    /// The asset has another version.
    pub(crate) fn commit(&mut self, id: &str) -> String {
        self.versions += 1;
        let version = AssetVersion::numbered(self.versions);
        let decisions = self.scheduler.committed(&AssetId::new(id), version, self.now);
        self.record(&decisions)
    }

    /// The asset's step has ended well and changed nothing.
    pub(crate) fn unchanged(&mut self, id: &str) -> String {
        self.end(id, Ending::Well, "1s")
    }

    /// The asset's step has committed and ended well.
    pub(crate) fn built(&mut self, id: &str) -> String {
        let committed = self.commit(id);
        let ended = self.end(id, Ending::Well, "1s");
        [committed, ended].iter().filter(|told| !told.is_empty()).cloned().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn failed(&mut self, id: &str) -> String {
        self.end(id, Ending::Badly, "1s")
    }

    /// The asset's step was halted by a check.
    pub(crate) fn halted(&mut self, id: &str, check: &str) -> String {
        let (id, took) = (AssetId::new(id), "1s".parse().unwrap());
        self.recorded.get_mut(&id).unwrap().ended(Ending::Badly, took);
        let decisions = self.scheduler.halted(&id, vec![CheckId::new(check)], took, self.now);
        self.record(&decisions)
    }

    pub(crate) fn end(&mut self, id: &str, ending: Ending, took: &str) -> String {
        let (id, took) = (AssetId::new(id), took.parse().unwrap());
        self.recorded.get_mut(&id).unwrap().ended(ending, took);
        let decisions = self.scheduler.ended(&id, ending, took, self.now);
        self.record(&decisions)
    }

    /// The asset's step was started and finds somebody else at work on the asset.
    pub(crate) fn kept_away(&mut self, id: &str) -> String {
        let decisions = self.scheduler.kept_away(&AssetId::new(id), self.now);
        self.record(&decisions)
    }

    /// The process that ran the asset's step has died.
    pub(crate) fn interrupted(&mut self, id: &str) -> String {
        let decisions = self.scheduler.interrupted(&AssetId::new(id), self.now);
        self.record(&decisions)
    }

    pub(crate) fn limit_steps(&mut self, steps: usize) -> String {
        let decisions = self.scheduler.limit_steps(NonZeroUsize::new(steps).unwrap(), self.now);
        self.record(&decisions)
    }

    /// A step of the asset begins that somebody else started.
    pub(crate) fn others_begin(&mut self, id: &str) -> String {
        let decisions = self.scheduler.began(&AssetId::new(id), self.now);
        self.record(&decisions)
    }

    /// A step that somebody else started has ended.
    pub(crate) fn others_end(&mut self, id: &str, ending: Ending) -> String {
        let took = "1s".parse().unwrap();
        let decisions = self.scheduler.ended(&AssetId::new(id), ending, took, self.now);
        self.record(&decisions)
    }

    /// Nobody else works on the asset any more.
    pub(crate) fn freed(&mut self, id: &str) -> String {
        let decisions = self.scheduler.freed(&AssetId::new(id), self.now);
        self.record(&decisions)
    }

    pub(crate) fn reload(&mut self, assets: Vec<ScheduledAsset>, limits: &Limits) -> String {
        let decisions = self.scheduler.replace_graph(assets, limits, self.now).unwrap();
        self.record(&decisions)
    }

    /// The process dies and begins again, with these assets stale.
    pub(crate) fn restart(&mut self, assets: Vec<ScheduledAsset>, limits: &Limits, stale: &[&str]) -> String {
        let mut recorded: Vec<_> = self.recorded.values().cloned().collect();
        recorded.iter_mut().for_each(|recorded| recorded.stale = stale.contains(&recorded.asset.as_str()));
        let (scheduler, decisions) = Scheduler::restore(assets, limits, &recorded, self.now).unwrap();
        self.scheduler = scheduler;
        self.record(&decisions)
    }

    /// The process dies that schedules, and another one begins while these steps go on. Nothing else is stale.
    pub(crate) fn restart_beside(
        &mut self,
        assets: Vec<ScheduledAsset>,
        limits: &Limits,
        go_on: &[&str],
    ) -> String {
        for id in go_on {
            let recorded = self.recorded.get_mut(&AssetId::new(id)).unwrap();
            let ScheduledAsset { definition, connection, pools, .. } = self.first[&recorded.asset].clone();
            recorded.goes_on = Some(GoesOn { definition, connection, pools, is_probe: false });
        }
        let told = self.restart(assets, limits, &[]);
        self.recorded.values_mut().for_each(|recorded| recorded.goes_on = None);
        told
    }

    fn record(&mut self, decisions: &[Decision]) -> String {
        for decision in decisions {
            for asset in named(decision) {
                let new = || RecordedAsset::new(asset.clone());
                self.recorded.entry(asset.clone()).or_insert_with(new).apply(decision);
            }
        }
        told(decisions)
    }
}

/// The assets that a decision is about.
pub(crate) fn named(decision: &Decision) -> Vec<AssetId> {
    match decision {
        Decision::Start(start) => start.steps.iter().map(|step| step.asset.clone()).collect(),
        Decision::Skip { asset, .. }
        | Decision::NotNow { asset, .. }
        | Decision::Postponed { asset }
        | Decision::Noted { asset, .. }
        | Decision::Look { asset }
        | Decision::Watch { asset, .. }
        | Decision::Unwatch { asset, .. }
        | Decision::SetAside { asset, .. }
        | Decision::Resume { asset, .. }
        | Decision::CountAnew { asset } => vec![asset.clone()],
    }
}

/// The decisions, one a line, without those about which triggers are watched.
pub(crate) fn told(decisions: &[Decision]) -> String {
    let line = |decision: &Decision| match decision {
        Decision::Start(start) => {
            let step = |step: &millstream_schedule::StartedStep| {
                let reasons: Vec<String> = step.reasons.iter().map(ToString::to_string).collect();
                let attempt =
                    if step.attempt > 1 { format!(", attempt {}", step.attempt) } else { String::new() };
                format!("start {} ({}{attempt})", step.asset, reasons.join("; "))
            };
            Some(start.steps.iter().map(step).collect::<Vec<_>>().join("\n"))
        }
        Decision::Skip { asset, because, .. } => Some(format!("skip {asset}: {because}")),
        Decision::NotNow { asset, because } => Some(format!("wait {asset}: {because}")),
        Decision::Postponed { asset } => Some(format!("postpone {asset}")),
        Decision::Noted { asset, trigger, .. } => Some(format!("note {asset}: {trigger}")),
        Decision::Look { asset } => Some(format!("look {asset}")),
        Decision::SetAside { asset, failures, .. } => Some(format!("set aside {asset}: {failures} failures")),
        Decision::Resume { asset, because } => Some(format!("resume {asset}: {because}")),
        Decision::CountAnew { asset } => Some(format!("count anew {asset}")),
        Decision::Watch { .. } | Decision::Unwatch { .. } => None,
    };
    decisions.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// Compares what was told with lines that may be indented.
pub(crate) fn check(told: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}
