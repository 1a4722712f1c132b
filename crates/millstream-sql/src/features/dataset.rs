//! Datasets: the labels' columns found and typed, the features resolved.

use std::collections::HashSet;

use arrow::datatypes::Schema;
use indexmap::IndexSet;
use millstream_features::view::ServiceDefinition;
use millstream_project::{
    AsKnown, DatasetFeatures, DatasetSpec, Diagnostic, FeaturesSpec, LabelOrigin, Location,
};
use millstream_types::TableName;

use super::{
    canonical,
    labels::LabelColumns,
    relation::{Relation, Tables},
    service::{AnalyzedService, Parts},
};
use crate::codes;

/// One dataset that can be built, as far as that is known without its files.
#[derive(Clone, Debug)]
pub struct AnalyzedDataset {
    pub name: String,
    /// The features of the dataset: a service of the project, or a list of features under the dataset's own name.
    pub service: ServiceDefinition,
    /// The query that gives the labels' rows, with the columns that are needed; `None` for labels from a file.
    pub query: Option<String>,
    /// The columns that are made of the labels' rows; `None` for labels from a file, whose columns are known once it is
    /// read. See [`LabelColumns::find`].
    pub labels: Option<LabelColumns>,
    /// The tables that labels and views read.
    pub dependencies: Vec<TableName>,
    /// The start of the dataset's file.
    pub at: Location,
}

/// The dataset; `None` when something that it needs has its message elsewhere.
pub(super) fn analyze(
    spec: &DatasetSpec,
    features: &FeaturesSpec,
    tables: &Tables<'_>,
    parts: Parts<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<AnalyzedDataset> {
    let before = diagnostics.len();
    let labels = relation(spec, tables, diagnostics);
    let service = service(spec, features, parts)?;
    diagnostics.extend(known_times(spec, &service, parts));
    diagnostics.extend(entities(spec, &service.definition));
    let mut dependencies: IndexSet<TableName> = IndexSet::new();
    let (mut query, mut columns) = (None, None);
    if let Some(relation) = labels? {
        match LabelColumns::find(spec, features, &service.definition, &relation.schema) {
            Ok(found) => {
                query = Some(select(&relation, &found));
                columns = Some(found);
            }
            Err(found) => diagnostics.extend(found),
        }
        dependencies.extend(relation.tables);
    }
    dependencies.extend(service.dependencies);
    (diagnostics.len() == before).then(|| AnalyzedDataset {
        name: spec.name.clone(),
        service: service.definition,
        query,
        labels: columns,
        dependencies: dependencies.into_iter().collect(),
        at: spec.at,
    })
}

/// The labels' rows. The inner `None` stands for a file, the outer one for a fault that is reported already.
fn relation(
    spec: &DatasetSpec,
    tables: &Tables<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Option<Relation>> {
    match &spec.labels.origin {
        LabelOrigin::File(_) => Some(None),
        LabelOrigin::Table(name) => tables.table(&name.value).map(Some),
        LabelOrigin::Sql(sql) => match tables.query(sql) {
            Ok(relation) => Some(Some(relation)),
            Err(found) => {
                diagnostics.extend(found);
                None
            }
        },
    }
}

fn service(spec: &DatasetSpec, features: &FeaturesSpec, parts: Parts<'_>) -> Option<AnalyzedService> {
    match &spec.features {
        DatasetFeatures::Service(name) => {
            let service = features.service(&name.value)?;
            parts.service(&name.value, &features.expand(&service.features), name.at)
        }
        DatasetFeatures::List(list) => {
            let at = list.first().map_or(spec.at, |item| item.at);
            parts.service(&spec.name, &features.expand(list), at)
        }
    }
}

/// The problem of a dataset that is cut off by known time, although some view does not know when its events became known.
fn known_times(spec: &DatasetSpec, service: &AnalyzedService, parts: Parts<'_>) -> Option<Diagnostic> {
    let as_known = spec.as_known.as_ref()?;
    let without: Vec<String> = service
        .definition
        .views
        .iter()
        .filter(|view| parts.views.get(&view.name).is_some_and(|view| !view.has_known))
        .map(|view| format!("`{}`", view.name))
        .collect();
    (!without.is_empty()).then(|| {
        let message = format!("the events of {} do not say when they became known", without.join(", "));
        let hint = match &as_known.value {
            AsKnown::LabelTime => {
                "carry `_ingested_at` through the tables that the views read, or remove `as_known`"
            }
            _ => "carry `_ingested_at` through the tables that the views read",
        };
        Diagnostic::error(codes::KNOWN_TIME, message, as_known.at).with_hint(hint)
    })
}

/// The problems of labels that are not about every entity of the features, or not about the one that the split keeps
/// together.
fn entities(spec: &DatasetSpec, service: &ServiceDefinition) -> Vec<Diagnostic> {
    let written: HashSet<&str> = spec.labels.entities.iter().map(|entity| entity.value.as_str()).collect();
    let of_features = service.entities.iter().map(|entity| entity.name.as_str());
    let about: Vec<&str> =
        if written.is_empty() { of_features.clone().collect() } else { written.iter().copied().collect() };
    let mut diagnostics = Vec::new();
    for missing in of_features.filter(|name| !about.contains(name)) {
        let message = format!("the features describe `{missing}`, the labels do not");
        let at = spec.labels.entities.last().map_or(spec.labels.at, |entity| entity.at);
        let hint = format!("add `{missing}` to `entity`, or leave its features out");
        diagnostics.push(Diagnostic::error(codes::LABELS, message, at).with_hint(hint));
    }
    let split = spec.split.as_ref().and_then(|split| split.entity.as_ref());
    if let Some(entity) = split.filter(|entity| !about.contains(&entity.value.as_str())) {
        let message = format!("the labels are not about `{entity}`, which the split keeps together");
        let mut named: Vec<String> = about.iter().map(|name| format!("`{name}`")).collect();
        named.sort();
        let hint = format!("they are about {}", named.join(", "));
        diagnostics.push(Diagnostic::error(codes::LABELS, message, entity.at).with_hint(hint));
    }
    diagnostics
}

/// The query that reads the needed columns from the labels' rows.
fn select(relation: &Relation, columns: &LabelColumns) -> String {
    let names: Vec<String> = columns.sources().into_iter().map(canonical::name).collect();
    format!("SELECT {} FROM {}", names.join(", "), relation.from)
}

impl AnalyzedDataset {
    /// The schema of the labels' part of the dataset; `None` before a file is read.
    #[must_use]
    pub fn kept(&self) -> Option<Schema> {
        self.labels.as_ref().map(LabelColumns::kept_schema)
    }
}
