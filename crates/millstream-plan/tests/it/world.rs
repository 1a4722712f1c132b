//! A small world to plan in: a project as text, and what a run leaves behind.

use std::collections::BTreeMap;

use millstream_plan::{
    AssetFacts, AssetKind, AssetStatus, Graph, Observed, Recorded, Request, RunPlan, Selection, plan,
};
use millstream_schedule::{Schedule, Trigger};
use millstream_types::{AssetId, AssetVersion, Fingerprint, TimestampMicros};

pub(crate) fn id(text: &str) -> AssetId {
    AssetId::new(text)
}

/// `silver.orders: table #daily <- bronze.orders, bronze.customers`
pub(crate) fn facts(line: &str) -> AssetFacts {
    let (head, inputs) = line.split_once("<-").unwrap_or((line, ""));
    let (name, rest) = head.split_once(": ").expect("a kind");
    let mut words = rest.split_whitespace();
    let kind = match words.next().expect("a kind") {
        "source" => "source",
        "view" => "view",
        "table" => "table",
        "incremental" => "incremental",
        "history" => "history",
        "feature_view" => "feature_view",
        "service" => "service",
        "dataset" => "dataset",
        other => panic!("kind {other}"),
    };
    let id_of = id(name.trim());
    let (schema, short) = id_of.name().split_once('.').unwrap_or(("", id_of.name()));
    let path = match kind {
        "source" => format!("sources/{short}.yaml"),
        "view" | "table" | "incremental" | "history" => format!("tables/{schema}/{short}.sql"),
        other => format!("{other}s/{short}.yaml"),
    };
    let (by_hand, words): (Vec<&str>, Vec<&str>) = words.partition(|word| *word == "manual");
    AssetFacts {
        id: id(name.trim()),
        kind: AssetKind::new(kind),
        path,
        tags: words.into_iter().map(|word| word.trim_start_matches('#').to_owned()).collect(),
        fingerprint: Fingerprint::new([1; 32]),
        inputs: inputs_of(inputs, false),
        defined_by: inputs_of(inputs, true),
        checked_against: Vec::new(),
        needs: Default::default(),
        passes_through: kind == "view",
        reads_outside: kind == "source",
        follows_events: false,
        schedule: Schedule::of(if by_hand.is_empty() { Trigger::OnChange } else { Trigger::Manual }),
    }
}

/// The inputs of a line; an `=` stands before what only belongs to the definition.
fn inputs_of(inputs: &str, defining: bool) -> Vec<AssetId> {
    let inputs = inputs.split(',').map(str::trim).filter(|input| !input.is_empty());
    let fitting = inputs.filter(|input| input.starts_with('=') == defining);
    fitting.map(|input| id(input.trim_start_matches('='))).collect()
}

pub(crate) fn project(text: &str) -> Vec<AssetFacts> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(facts).collect()
}

pub(crate) fn graph(text: &str) -> Graph {
    Graph::build(project(text)).unwrap()
}

/// State store and lake in one.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) recorded: BTreeMap<AssetId, Recorded>,
    pub(crate) observed: Observed,
}

impl World {
    /// A world in which everything was built once.
    pub(crate) fn built(graph: &Graph) -> Self {
        let mut world = Self::default();
        let run_plan = world.plan(graph, &[]).unwrap();
        world.run(graph, &run_plan);
        world
    }

    pub(crate) fn plan(
        &self,
        graph: &Graph,
        selection: &[&str],
    ) -> Result<RunPlan, millstream_plan::PlanError> {
        let terms: Vec<String> = selection.iter().map(ToString::to_string).collect();
        self.request(graph, &Request { selection: Selection::parse(&terms, &[])?, ..everything() })
    }

    pub(crate) fn request(
        &self,
        graph: &Graph,
        request: &Request,
    ) -> Result<RunPlan, millstream_plan::PlanError> {
        plan(graph, &self.recorded, &self.observed, request)
    }

    /// `name: reason` of each step, in order.
    pub(crate) fn steps(&self, graph: &Graph, selection: &[&str]) -> Vec<String> {
        let run_plan = self.plan(graph, selection).unwrap();
        run_plan.steps.iter().map(|step| format!("{}: {}", step.asset, step.reason)).collect()
    }

    pub(crate) fn run(&mut self, graph: &Graph, run_plan: &RunPlan) {
        for step in &run_plan.steps {
            self.build(graph, &step.asset);
        }
    }

    pub(crate) fn build(&mut self, graph: &Graph, asset: &AssetId) {
        let number = self.observed.versions.get(asset).map_or(0, |version| version.number() + 1);
        let version = AssetVersion::numbered(number);
        self.observed.versions.insert(asset.clone(), version);
        self.observed.parts.remove(asset);
        let read = graph
            .stored_inputs(asset)
            .filter_map(|input| self.observed.versions.get(input).map(|version| (input.clone(), *version)));
        let record = Recorded {
            fingerprint: graph.get(asset).unwrap().fingerprint,
            input_versions: read.collect(),
            version: Some(version),
            rows: Some(1),
            built_at: TimestampMicros(0),
            status: AssetStatus::Built,
        };
        self.recorded.insert(asset.clone(), record);
    }

    /// A file waits to be landed.
    pub(crate) fn arrive(&mut self, source: &str, part: &str) {
        self.observed.parts.entry(id(source)).or_default().push(part.into());
    }
}

pub(crate) fn everything() -> Request {
    Request { selection: Selection::all(), full_refresh: false, force: false }
}
