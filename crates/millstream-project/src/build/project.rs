//! `millstream.yaml`: the chosen environment and the defaults.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::Path,
};

use millstream_types::{Percent, Severity, Span};

use super::{
    Context,
    connection::literals,
    environment::{DEFAULT, environment, implied, steps_at_once},
    feature::identifier,
    housekeeping::housekeeping,
    steps::{project_budget, project_steps},
    telemetry::{prices, telemetry},
    webhook::webhooks,
};
use crate::{
    Diagnostic, EnvironmentSpec, HousekeepingSpec, Located, Location, Node, NodeKind, PricesSpec, StepsSpec,
    TelemetrySpec, WebhookSpec, codes,
    decode::Entries,
    file::{DefaultsFile, ProjectFile},
    variables, words,
};

/// What `millstream.yaml` says.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) name: String,
    /// The chosen environment; `None` when it is unknown or cannot be used.
    pub(crate) environment: Option<EnvironmentSpec>,
    pub(crate) pools: BTreeMap<String, NonZeroUsize>,
    pub(crate) webhooks: BTreeMap<String, WebhookSpec>,
    pub(crate) retry_budget: u32,
    /// The names of all pools, those with faults included.
    pub(crate) pool_names: BTreeSet<String>,
    pub(crate) housekeeping: HousekeepingSpec,
    pub(crate) defaults: Defaults,
    pub(crate) prices: Option<PricesSpec>,
    pub(crate) telemetry: TelemetrySpec,
}

/// Values for what sources and tables leave open.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) on_violation: Severity,
    pub(crate) halt_above: Option<Percent>,
    pub(crate) freshness: Option<Span>,
    pub(crate) owner: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) steps: StepsSpec,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            on_violation: Severity::Quarantine,
            halt_above: None,
            freshness: None,
            owner: None,
            tags: Vec::new(),
            steps: StepsSpec::default(),
        }
    }
}

impl Defaults {
    fn new(file: DefaultsFile, steps: StepsSpec) -> Self {
        Self {
            on_violation: file.on_violation.unwrap_or(Severity::Quarantine),
            halt_above: file.halt_above.map(|share| share.0),
            freshness: file.freshness.map(|age| age.0),
            owner: file.owner,
            tags: file.tags.0,
            steps,
        }
    }

    /// The default tags and an asset's own, each once.
    pub(super) fn with_tags(&self, own: Vec<String>) -> Vec<String> {
        let mut tags = self.tags.clone();
        for tag in own {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }
}

/// Reads the project's file. `asked` is the environment that the command names.
pub(crate) fn project(
    context: &Context<'_>,
    mut node: Node,
    asked: Option<&str>,
    root: &Path,
) -> Option<Project> {
    let chosen = asked.unwrap_or(DEFAULT);
    node.get("webhooks").into_iter().for_each(|webhooks| literals(context, webhooks, ""));
    substitute(context, &mut node, chosen);
    let file: ProjectFile = context.faults.decode_at(&node, context.start())?;
    if file.name.trim().is_empty() {
        context.error(codes::WRONG_NAME, "the project's name is empty", file.name.at, "write `name: shop`");
    }
    if let Some(alerts) = &file.alerts {
        context.faults.push(
            Diagnostic::warning(codes::UNAVAILABLE_FEATURE, "alerts are not sent by this version", alerts.at)
                .with_hint("`millstream run` exits with 1 when a step fails; the lines can stay"),
        );
    }
    let mut found = None;
    for (name, environment_file) in &file.environments.0 {
        let is_chosen = name.value == chosen;
        let spec = environment(context, name, environment_file, is_chosen, root);
        if is_chosen {
            found = Some(spec);
        }
    }
    let environment = match found {
        Some(spec) => spec,
        // A faulty entry is reported already.
        None if is_given(&node, chosen) => None,
        None if chosen == DEFAULT => Some(implied(root)),
        None => {
            let names: Vec<&str> = file.environments.0.iter().map(|(name, _)| name.value.as_str()).collect();
            let at = environments_key(&node).unwrap_or(context.start());
            let message = format!("there is no environment `{chosen}`");
            let mut diagnostic = Diagnostic::error(codes::UNKNOWN_ENVIRONMENT, message, at);
            let implied = (!names.contains(&DEFAULT)).then_some(DEFAULT);
            diagnostic.hint = words::hint(chosen, names.into_iter().chain(implied));
            context.faults.push(diagnostic);
            None
        }
    };
    let telemetry = telemetry(context, file.telemetry, &file.name.value, root);
    let steps =
        project_steps(context, file.retry.as_ref(), file.timeout.as_ref(), file.set_aside_after.as_ref());
    Some(Project {
        telemetry,
        prices: file.prices.map(|file| prices(context, file)),
        name: file.name.value,
        environment,
        pools: pools(context, &file.pools),
        webhooks: webhooks(context, &file.webhooks),
        pool_names: pool_names(&node),
        housekeeping: housekeeping(context, &file.housekeeping),
        retry_budget: project_budget(context, file.retry.as_ref()),
        defaults: Defaults::new(file.defaults, steps),
    })
}

fn pools(context: &Context<'_>, written: &Entries<Located<usize>>) -> BTreeMap<String, NonZeroUsize> {
    let pool = |(name, steps): &(Located<String>, Located<usize>)| {
        let is_named = identifier(context, "pool", name);
        steps_at_once(context, steps).filter(|_| is_named).map(|steps| (name.value.clone(), steps))
    };
    written.0.iter().filter_map(pool).collect()
}

fn pool_names(node: &Node) -> BTreeSet<String> {
    let pools = node.get("pools").map(Node::entries).unwrap_or_default();
    pools.iter().map(|(name, _)| name.value.clone()).collect()
}

/// Substitutes variables, but of the environments only those of the chosen one.
fn substitute(context: &Context<'_>, node: &mut Node, chosen: &str) {
    let NodeKind::Map(entries) = &mut node.kind else { return };
    for (key, value) in entries {
        match (key.value.as_str(), &mut value.kind) {
            ("environments", NodeKind::Map(environments)) => {
                for (name, environment) in environments {
                    if name.value == chosen {
                        variables::substitute(environment, context.text, context.values, context.faults);
                    } else {
                        variables::leave_out_unresolved(environment, context.faults);
                    }
                }
            }
            _ => variables::substitute(value, context.text, context.values, context.faults),
        }
    }
}

fn is_given(node: &Node, environment: &str) -> bool {
    node.get("environments").is_some_and(|environments| environments.get(environment).is_some())
}

fn environments_key(node: &Node) -> Option<Location> {
    node.entries().iter().find(|(key, _)| key.value == "environments").map(|(key, _)| key.at)
}
