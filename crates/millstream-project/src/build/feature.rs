//! `features/*.yaml`: entity, views, on-demand features, services.

use std::collections::{BTreeSet, HashSet};

use millstream_types::{NameError, SourceName, TableName};

use super::{
    Context, aggregate,
    schedule::{Owner, schedule},
    source::column_type,
    steps::{WrittenSteps, steps},
};
use crate::{
    EntitySpec, FeatureRef, FeatureViewSpec, FeaturesSpec, Located, Node, NodeKind, OnDemandSpec,
    RequestSpec, ServiceSpec, codes,
    file::{EntityFile, FeaturesFile, OnDemandFile, ViewFile},
    variables,
};

/// What the files of `features/` hold, as far as they could be read.
#[derive(Debug, Default)]
pub(crate) struct Features {
    pub(crate) spec: FeaturesSpec,
    /// The names that are there but faulty, features as `view.feature`: a reference to one of them is not reported as
    /// unknown.
    pub(crate) incomplete: BTreeSet<String>,
    /// Whether a whole file is missing, so that no name is known to be unknown.
    pub(crate) has_gap: bool,
}

/// Reads one file.
pub(crate) fn features(context: &Context<'_>, mut node: Node, found: &mut Features) {
    variables::substitute(&mut node, context.text, context.values, context.faults);
    let Some(file) = context.faults.decode_at::<FeaturesFile>(&node, context.start()) else {
        found.has_gap = true;
        return;
    };
    let is_given = file.entity.is_some();
    let entity = file.entity.and_then(|node| entity(context, &node, found));
    if !is_given && !file.views.0.is_empty() && !context.faults.has_gap_in(node.at) {
        let hint =
            "add `entity: {name: customer, key: customer_id}`, or the name of an entity of another file";
        context.error(codes::MISSING_KEY, "`entity` is missing", context.start(), hint);
    }
    for (name, node) in file.views.0 {
        match view(context, &name, &node, entity.as_ref(), found) {
            Some(view) => found.spec.views.push(view),
            None => drop(found.incomplete.insert(name.value)),
        }
    }
    for (name, node) in file.on_demand.0 {
        match on_demand(context, &name, &node) {
            Some(feature) => found.spec.on_demand.push(feature),
            None => drop(found.incomplete.insert(name.value)),
        }
    }
    for (name, written) in file.request.0 {
        let is_named = identifier(context, "request value", &name);
        if let Some(column_type) = column_type(context, &written).filter(|_| is_named) {
            let Located { value: name, at } = name;
            found.spec.request.push(RequestSpec { name, at, column_type });
        }
    }
    for (name, node) in file.services.0 {
        let is_named = identifier(context, "service", &name);
        match feature_refs(context, &name, &node).filter(|_| is_named) {
            Some(features) => {
                found.spec.services.push(ServiceSpec { name: name.value, at: name.at, features });
            }
            None => drop(found.incomplete.insert(name.value)),
        }
    }
}

/// The entity's name; a definition of the entity is added to `found`.
fn entity(context: &Context<'_>, node: &Node, found: &mut Features) -> Option<Located<String>> {
    if let NodeKind::Text(name) = &node.kind {
        return Some(Located::new(name.clone(), node.at));
    }
    if !matches!(node.kind, NodeKind::Map(_)) {
        let message = format!("expected an entity, found {}", node.describe());
        let hint = "write `{name: customer, key: customer_id}`";
        context.error(codes::WRONG_ENTITY, message, node.at, hint);
        return None;
    }
    let Some(file) = context.faults.decode::<EntityFile>(node) else {
        // The entity's name is lost with its definition.
        found.has_gap = true;
        return None;
    };
    let EntityFile { name, key, description, owner, tags } = file;
    let keys = key.value.0;
    let mut is_faulty = !identifier(context, "entity", &name);
    if keys.is_empty() && !context.faults.has_gap_in(key.at) {
        context.error(codes::WRONG_ENTITY, "the entity has no key", key.at, "name its key columns");
    }
    is_faulty |= keys.is_empty();
    for column in repeated(&keys) {
        let message = format!("the key names `{column}` twice");
        context.error(codes::WRONG_ENTITY, message, column.at, "remove one of the two");
        is_faulty = true;
    }
    if is_faulty {
        found.incomplete.insert(name.value.clone());
    } else {
        let owner = owner.or_else(|| context.defaults.owner.clone());
        let (tags, at) = (context.defaults.with_tags(tags.0), name.at);
        found.spec.entities.push(EntitySpec { name: name.value.clone(), at, keys, description, owner, tags });
    }
    Some(name)
}

fn view(
    context: &Context<'_>,
    name: &Located<String>,
    node: &Node,
    entity: Option<&Located<String>>,
    found: &mut Features,
) -> Option<FeatureViewSpec> {
    let is_named = identifier(context, "view", name);
    let file: ViewFile = context.faults.decode_at(node, name.at)?;
    let from = table_name(context, codes::WRONG_VIEW, &file.from);
    if file.features.0.is_empty() && !context.faults.has_gap_in(file.features.at) {
        let hint = "add one: `spend_30d: {sum: amount, window: 30d}`";
        context.error(codes::WRONG_VIEW, "the view has no features", file.features.at, hint);
    }
    let mut is_whole = is_named && not_empty(context, &file.time);
    is_whole &= file.sql.as_ref().is_none_or(|sql| not_empty(context, sql));
    let mut features = Vec::new();
    for (feature, node) in file.features.value.0 {
        match aggregate::feature(context, &feature, &node) {
            Some(feature) => features.push(feature),
            None => drop(found.incomplete.insert(format!("{name}.{feature}"))),
        }
    }
    let schedule = schedule(context, file.schedule.as_ref(), Owner::Other);
    let steps = steps(
        context,
        &WrittenSteps {
            retry: file.retry.as_ref(),
            timeout: file.timeout.as_ref(),
            set_aside_after: file.set_aside_after.as_ref(),
            sla: file.sla.as_ref(),
        },
    );
    let owner = file.owner.or_else(|| context.defaults.owner.clone());
    is_whole.then_some(FeatureViewSpec {
        name: name.value.clone(),
        at: name.at,
        entity: entity?.clone(),
        from: from?,
        sql: file.sql,
        time: file.time,
        ttl: file.ttl.map(|ttl| ttl.value.0),
        include_same_instant: file.include_same_instant,
        stream: file.stream,
        features,
        schedule,
        steps,
        description: file.description,
        owner,
        tags: context.defaults.with_tags(file.tags.0),
    })
}

/// `name: "<sql>"` or `name: {sql: "<sql>"}`.
fn on_demand(context: &Context<'_>, name: &Located<String>, node: &Node) -> Option<OnDemandSpec> {
    let is_named = identifier(context, "on-demand feature", name);
    let file = if matches!(node.kind, NodeKind::Map(_)) {
        context.faults.decode_at(node, name.at)?
    } else {
        let sql = context.faults.decode_at(node, name.at)?;
        OnDemandFile { sql, description: None, owner: None, tags: Default::default() }
    };
    let is_whole = not_empty(context, &file.sql) && is_named;
    is_whole.then_some(OnDemandSpec {
        name: name.value.clone(),
        at: name.at,
        sql: file.sql,
        description: file.description,
        owner: file.owner.or_else(|| context.defaults.owner.clone()),
        tags: context.defaults.with_tags(file.tags.0),
    })
}

/// A list of `view.feature`, `view.*` and on-demand features.
pub(super) fn feature_refs(
    context: &Context<'_>,
    name: &Located<String>,
    node: &Node,
) -> Option<Vec<Located<FeatureRef>>> {
    let written: Located<Vec<Located<String>>> = context.faults.decode_at(node, name.at)?;
    if written.is_empty() && !context.faults.has_gap_in(written.at) {
        let hint = "list features: `[orders.spend_30d, orders.*]`";
        context.error(codes::WRONG_SERVICE, format!("`{name}` names no feature"), written.at, hint);
    }
    let mut refs: Vec<Located<FeatureRef>> = Vec::new();
    let mut seen = HashSet::new();
    let mut is_whole = !written.is_empty();
    for item in written.value {
        let Some(reference) = feature_ref(&item) else {
            let hint = "write `view.feature`, `view.*`, or the name of an on-demand feature";
            context.error(codes::WRONG_SERVICE, format!("`{item}` names no feature"), item.at, hint);
            is_whole = false;
            continue;
        };
        if !seen.insert(reference.clone()) {
            let message = format!("`{item}` is listed twice");
            context.error(codes::WRONG_SERVICE, message, item.at, "remove one of the two");
            is_whole = false;
        }
        refs.push(Located::new(reference, item.at));
    }
    is_whole.then_some(refs)
}

fn feature_ref(text: &str) -> Option<FeatureRef> {
    let is_name = |text: &str| SourceName::new(text).is_ok();
    match text.split_once('.') {
        None => is_name(text).then(|| FeatureRef::OnDemand { name: text.into() }),
        Some((view, _)) if !is_name(view) => None,
        Some((view, "*")) => Some(FeatureRef::View { view: view.into() }),
        Some((view, feature)) => {
            is_name(feature).then(|| FeatureRef::Feature { view: view.into(), feature: feature.into() })
        }
    }
}

/// Whether a name that the file gives can be one; reports it otherwise.
pub(super) fn identifier(context: &Context<'_>, what: &str, name: &Located<String>) -> bool {
    let Err(error) = SourceName::new(name) else { return true };
    context.error(codes::WRONG_NAME, error.to_string(), name.at, format!("rename the {what}"));
    false
}

pub(super) fn table_name(
    context: &Context<'_>,
    code: &'static str,
    written: &Located<String>,
) -> Option<Located<TableName>> {
    match written.parse() {
        Ok(name) => Some(Located::new(name, written.at)),
        Err(error) => {
            let error: NameError = error;
            context.error(code, error.to_string(), written.at, "name a table, as in `silver.orders`");
            None
        }
    }
}

pub(super) fn not_empty(context: &Context<'_>, written: &Located<String>) -> bool {
    if written.trim().is_empty() {
        context.error(codes::WRONG_KIND, "the text is empty", written.at, "write it, or remove the key");
        return false;
    }
    true
}

/// The names that came before in the list.
pub(super) fn repeated(names: &[Located<String>]) -> impl Iterator<Item = &Located<String>> {
    let mut seen = HashSet::new();
    names.iter().filter(move |name| !seen.insert(name.value.as_str()))
}
