//! Rules between features, datasets and tables: names are free, and what is named exists.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    DatasetFeatures, DatasetSpec, Diagnostic, FeatureRef, FeatureViewSpec, FeaturesSpec, LabelOrigin,
    Located, Location, SourceSpec, TableSpec,
    across::{Across, unknown_table},
    build::Features,
    codes, words,
};

/// The names that are defined, and the rules between files to which faults are added.
pub(crate) struct References<'a, 'b> {
    across: Across<'a>,
    features: &'b Features,
    entities: BTreeSet<&'b str>,
    /// The features of each view.
    views: BTreeMap<&'b str, BTreeSet<&'b str>>,
    on_demand: BTreeSet<&'b str>,
    services: BTreeSet<&'b str>,
    /// The number of unknown names that were reported.
    reported: usize,
}

/// The most unknown names that are reported; looking for the nearest of more would take long and help nobody.
const UNKNOWN_MAX: usize = 50;

impl<'a, 'b> References<'a, 'b> {
    pub(crate) fn new(across: Across<'a>, features: &'b Features) -> Self {
        let spec = &features.spec;
        let features_of =
            |view: &'b FeatureViewSpec| view.features.iter().map(|feature| feature.name.as_str()).collect();
        Self {
            across,
            features,
            entities: spec.entities.iter().map(|entity| entity.name.as_str()).collect(),
            views: spec.views.iter().map(|view| (view.name.as_str(), features_of(view))).collect(),
            on_demand: spec.on_demand.iter().map(|one| one.name.as_str()).collect(),
            services: spec.services.iter().map(|service| service.name.as_str()).collect(),
            reported: 0,
        }
    }

    /// Judges everything of `features/` and `datasets/`.
    pub(crate) fn judge(mut self, sources: &[SourceSpec], tables: &[TableSpec], datasets: &[DatasetSpec]) {
        let spec = &self.features.spec;
        self.names(spec);
        self.request_names(spec);
        let known = self.across.known(sources, tables);
        let labels = datasets.iter().filter_map(|dataset| match &dataset.labels.origin {
            LabelOrigin::Table(name) => Some(name),
            LabelOrigin::Sql(_) | LabelOrigin::File(_) => None,
        });
        for name in spec.views.iter().map(|view| &view.from).chain(labels) {
            if !known.contains(&name.value.to_string()) {
                self.across.diagnostics.push(unknown_table(name, &known));
            }
        }
        spec.views.iter().for_each(|view| self.entity(&view.entity));
        spec.services.iter().flat_map(|service| &service.features).for_each(|item| self.feature(item));
        datasets.iter().for_each(|dataset| self.dataset(dataset));
    }

    /// Names are unique among their kind; a list tells views and on-demand features apart by their form.
    fn names(&mut self, spec: &FeaturesSpec) {
        let entities = spec.entities.iter().map(|entity| ("entity", &entity.name, entity.at));
        let views = spec.views.iter().map(|view| ("view", &view.name, view.at));
        let on_demand = spec.on_demand.iter().map(|one| ("on-demand feature", &one.name, one.at));
        let services = spec.services.iter().map(|service| ("service", &service.name, service.at));
        let request = spec.request.iter().map(|value| ("request value", &value.name, value.at));
        let mut seen: BTreeMap<(&str, &String), Location> = BTreeMap::new();
        for (kind, name, at) in entities.chain(views).chain(on_demand).chain(services).chain(request) {
            let Some(first) = seen.get(&(kind, name)) else {
                seen.insert((kind, name), at);
                continue;
            };
            let path = self.across.files.get(first.file).map(|file| file.path.display().to_string());
            let message = format!("a second {kind} with the name `{name}`");
            self.across.diagnostics.push(
                Diagnostic::error(codes::DUPLICATE_NAME, message, at)
                    .with_label(format!("first given in `{}`", path.unwrap_or_default()))
                    .with_hint("rename one of the two"),
            );
        }
    }

    /// Refuses a request value with the name of an on-demand feature: an expression could not tell them apart.
    fn request_names(&mut self, spec: &FeaturesSpec) {
        for value in spec.request.iter().filter(|value| self.on_demand.contains(value.name.as_str())) {
            let message = format!("`{}` is an on-demand feature and a request value", value.name);
            let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, message, value.at);
            self.across.diagnostics.push(diagnostic.with_hint("rename one of the two"));
        }
    }

    fn entity(&mut self, name: &Located<String>) {
        if !self.entities.contains(name.value.as_str()) {
            let known = self.entities.iter().copied().collect();
            self.unknown(codes::UNKNOWN_ENTITY, "entity", name, known);
        }
    }

    fn feature(&mut self, item: &Located<FeatureRef>) {
        if self.reported >= UNKNOWN_MAX {
            return;
        }
        let named = |name: &String| Located::new(name.clone(), item.at);
        match &item.value {
            FeatureRef::OnDemand { name } if !self.on_demand.contains(name.as_str()) => {
                let known = self.on_demand.iter().copied().collect();
                self.unknown(codes::UNKNOWN_FEATURE, "on-demand feature", &named(name), known);
            }
            FeatureRef::OnDemand { .. } => {}
            FeatureRef::View { view } | FeatureRef::Feature { view, .. } => {
                let Some(features) = self.views.get(view.as_str()) else {
                    let known = self.views.keys().copied().collect();
                    return self.unknown(codes::UNKNOWN_FEATURE, "view", &named(view), known);
                };
                let FeatureRef::Feature { feature, .. } = &item.value else { return };
                if !features.contains(feature.as_str()) {
                    let known: Vec<String> = features.iter().map(|one| format!("{view}.{one}")).collect();
                    let name = named(&format!("{view}.{feature}"));
                    let known = known.iter().map(String::as_str).collect();
                    self.unknown(codes::UNKNOWN_FEATURE, "feature", &name, known);
                }
            }
        }
    }

    fn dataset(&mut self, dataset: &DatasetSpec) {
        match &dataset.features {
            DatasetFeatures::Service(name) if !self.services.contains(name.value.as_str()) => {
                let known = self.services.iter().copied().collect();
                self.unknown(codes::UNKNOWN_FEATURE, "service", name, known);
            }
            DatasetFeatures::Service(_) => {}
            DatasetFeatures::List(items) => items.iter().for_each(|item| self.feature(item)),
        }
        let split = dataset.split.as_ref().and_then(|split| split.entity.as_ref());
        dataset.labels.entities.iter().chain(split).for_each(|entity| self.entity(entity));
        // Where a definition is faulty, the key may be faulty too.
        if dataset.labels.keys.is_empty() || !self.features.incomplete.is_empty() {
            return;
        }
        let entities = &self.features.spec.entities;
        let known: BTreeSet<&str> =
            entities.iter().flat_map(|entity| &entity.keys).map(|key| key.value.as_str()).collect();
        for (key, column) in &dataset.labels.keys {
            if !known.contains(key.as_str()) {
                let key = Located::new(key.clone(), column.at);
                let known = known.iter().copied().collect();
                self.unknown(codes::UNKNOWN_ENTITY, "key of an entity", &key, known);
            }
        }
    }

    /// Reports an unknown name, unless a faulty file or definition may hold it.
    fn unknown(&mut self, code: &'static str, kind: &str, name: &Located<String>, known: Vec<&str>) {
        if self.features.has_gap || self.features.incomplete.contains(&name.value) {
            return;
        }
        self.reported += 1;
        if self.reported > UNKNOWN_MAX {
            return;
        }
        let message = format!("there is no {kind} `{name}`");
        let mut diagnostic = Diagnostic::error(code, message, name.at);
        diagnostic.hint =
            words::hint(name, known).or_else(|| Some("define it in a file of `features/`".into()));
        self.across.diagnostics.push(diagnostic);
    }
}
