//! Rules between schedules and the rest of the project: the assets that they run after and the pools that they name exist.

use std::collections::{BTreeMap, BTreeSet};

use millstream_schedule::Trigger;
use millstream_types::{AssetId, TableName};

use crate::{
    DatasetSpec, Diagnostic, FeaturesSpec, Located, ScheduleSpec, SourceSpec, TableSpec, WebhookSpec,
    build::Features, codes, words,
};

/// Everything that may have a schedule.
pub(crate) struct Scheduled<'a> {
    pub(crate) sources: &'a [SourceSpec],
    pub(crate) tables: &'a [TableSpec],
    pub(crate) features: &'a Features,
    pub(crate) datasets: &'a [DatasetSpec],
    /// The names of all files of `datasets/`, those with faults included.
    pub(crate) listed_datasets: BTreeSet<String>,
    /// The tables with faults, which may be missing from the others.
    pub(crate) broken: &'a BTreeSet<TableName>,
    /// The names of all pools; `None` where the project's file could not be read.
    pub(crate) pools: Option<&'a BTreeSet<String>>,
    /// The webhooks of the project's file; `None` where it could not be read.
    pub(crate) webhooks: Option<&'a BTreeMap<String, WebhookSpec>>,
}

/// Judges the names in all schedules.
pub(crate) fn judge(all: &Scheduled<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let known = all.known();
    let views: BTreeSet<AssetId> = all
        .tables
        .iter()
        .filter(|table| table.materialize.is_view())
        .map(|table| table.name.asset_id())
        .collect();
    let mut seen = BTreeSet::new();
    for schedule in all.schedules() {
        // The tables of one source have their schedule in one place.
        if !seen.insert((schedule.at.file, schedule.at.start)) {
            continue;
        }
        for after in &schedule.after {
            if views.contains(&after.value) {
                let message =
                    format!("nothing runs after `{after}`, which is a view: nothing of it is stored");
                let hint = "name a table that it reads, or give it `materialize: table`";
                diagnostics
                    .push(Diagnostic::error(codes::UNKNOWN_IN_SCHEDULE, message, after.at).with_hint(hint));
            } else if !known.contains(after.as_str()) && !all.may_be_faulty(&after.value) {
                diagnostics.push(unknown_asset(after, &known));
            }
        }
        let Some(pools) = all.pools else { continue };
        let unknown = schedule.pools.iter().filter(|pool| !pools.contains(&pool.value));
        diagnostics.extend(unknown.map(|pool| unknown_pool(pool, pools)));
    }
    // An asset with a fault may be the one that waits.
    if all.broken.is_empty() && !all.features.has_gap {
        diagnostics.extend(all.unused_webhooks());
    }
}

impl<'a> Scheduled<'a> {
    fn schedules(&self) -> impl Iterator<Item = &'a ScheduleSpec> {
        let sources = self.sources.iter().filter_map(|source| source.schedule.as_ref());
        let tables = self.tables.iter().filter_map(|table| table.schedule.as_ref());
        let views = self.features.spec.views.iter().filter_map(|view| view.schedule.as_ref());
        let datasets = self.datasets.iter().filter_map(|dataset| dataset.schedule.as_ref());
        sources.chain(tables).chain(views).chain(datasets)
    }

    /// Webhooks of the project's file for which no asset waits.
    fn unused_webhooks(&self) -> Vec<Diagnostic> {
        let triggers = self.schedules().flat_map(|schedule| &schedule.schedule.triggers);
        let waited: BTreeSet<&str> = triggers
            .filter_map(|trigger| match trigger {
                Trigger::Webhook(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let unused = self.webhooks.into_iter().flatten().filter(|(name, _)| !waited.contains(name.as_str()));
        let warning = |(name, webhook): (&String, &WebhookSpec)| {
            let message = format!("no asset waits for the webhook `{name}`");
            let hint = match words::nearest(name, waited.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("give an asset the trigger: `schedule: {{webhook: {name}}}`"),
            };
            Diagnostic::warning(codes::UNKNOWN_IN_SCHEDULE, message, webhook.at).with_hint(hint)
        };
        unused.map(warning).collect()
    }

    /// What assets are called that may set off another one.
    fn known(&self) -> BTreeSet<String> {
        let FeaturesSpec { views, services, .. } = &self.features.spec;
        let sources = self.sources.iter().map(|source| source.table().to_string());
        let tables = self.tables.iter().filter(|table| !table.materialize.is_view());
        let tables = tables.map(|table| table.name.to_string());
        let views = views.iter().map(|view| format!("view:{}", view.name));
        let services = services.iter().map(|service| format!("service:{}", service.name));
        let datasets = self.listed_datasets.iter().map(|name| format!("dataset:{name}"));
        sources.chain(tables).chain(views).chain(services).chain(datasets).collect()
    }

    /// Whether the name may be that of something that could not be read.
    fn may_be_faulty(&self, asset: &AssetId) -> bool {
        match asset.kind() {
            None => self.broken.iter().any(|table| table.asset_id() == *asset),
            Some(_) => self.features.has_gap || self.features.incomplete.contains(asset.name()),
        }
    }
}

fn unknown_asset(after: &Located<AssetId>, known: &BTreeSet<String>) -> Diagnostic {
    let message = format!("there is no asset `{after}` to run after");
    let mut diagnostic = Diagnostic::error(codes::UNKNOWN_IN_SCHEDULE, message, after.at);
    let named = known.iter().map(String::as_str);
    // A feature view or a dataset may be meant by its bare name.
    let bare =
        known.iter().find(|known| known.split_once(':').is_some_and(|(_, name)| name == after.as_str()));
    let landed = format!("bronze.{after}");
    let meant = bare
        .or_else(|| known.get(&landed))
        .map(String::as_str)
        .or_else(|| words::nearest(after.as_str(), named));
    diagnostic.hint = Some(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "name a table as in `silver.orders`, or `view:…`, `dataset:…`, `source:…`".to_owned(),
    });
    diagnostic
}

fn unknown_pool(pool: &Located<String>, pools: &BTreeSet<String>) -> Diagnostic {
    let message = format!("there is no pool `{pool}`");
    let hint = match words::nearest(pool, pools.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("say in `millstream.yaml` how many steps it takes at once: `pools: {{{pool}: 2}}`"),
    };
    Diagnostic::error(codes::UNKNOWN_IN_SCHEDULE, message, pool.at).with_hint(hint)
}
