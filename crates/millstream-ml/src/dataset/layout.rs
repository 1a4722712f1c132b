//! Which columns a dataset has and where each comes from; every mistake of a plan is found here, before a row is read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, new_empty_array},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use millstream_features::{
    asof::{AsofError, KeyColumn, partitions},
    encode::check_chain,
    view::{FeatureSource, ViewDefinition},
};

use super::plan::{AsKnown, DatasetPlan, SplitBy};
use crate::DatasetError;

/// The name of the column that says on which side a row is.
pub const SPLIT: &str = "split";

/// The source of an output column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnSource {
    /// The column is the label column with this number.
    Label(usize),
    /// The column is a feature of the view with this number, at a place in [`Layout::features`] of that view.
    Feature {
        view: usize,
        at: usize,
    },
    /// The column is the service's on-demand feature with this number.
    OnDemand(usize),
    Split,
}

/// The columns of the output before encodings.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The numbers of the features of each view that the output or an on-demand feature needs, ascending.
    pub(crate) features: Vec<Vec<usize>>,
    pub(crate) schema: SchemaRef,
    /// The source of each field of the schema.
    pub(crate) sources: Vec<ColumnSource>,
}

impl Layout {
    pub(crate) fn new(plan: &DatasetPlan) -> Result<Self, DatasetError> {
        check_labels(plan)?;
        check_shares(plan)?;
        for (view, keys) in plan.service.views.iter().zip(&plan.labels.keys) {
            check_keys(plan, view, keys)?;
        }
        let features = needed_features(plan)?;
        let (fields, sources): (Vec<_>, Vec<_>) = columns(plan, &features)?.into_iter().unzip();
        check_names(plan, &fields, &sources)?;
        check_encodings(plan, &fields, &sources)?;
        Ok(Self { features, schema: Arc::new(Schema::new(fields)), sources })
    }

    /// The numbers of the output's columns with labels that a model will learn.
    pub(crate) fn targets(&self, plan: &DatasetPlan) -> Vec<usize> {
        let is_target = |source: &ColumnSource| match source {
            ColumnSource::Label(label) => plan.labels.targets.contains(label),
            _ => false,
        };
        (0..).zip(&self.sources).filter(|(_, source)| is_target(source)).map(|(number, _)| number).collect()
    }

    /// The output's columns that tell label rows apart: time and keys; none when one of them is not kept.
    pub(crate) fn identity(&self, plan: &DatasetPlan) -> Option<Vec<String>> {
        let mut wanted: Vec<usize> = plan.labels.keys.iter().flatten().copied().collect();
        wanted.push(plan.labels.time);
        wanted.sort_unstable();
        wanted.dedup();
        let name = |column: usize| {
            let place = self.sources.iter().position(|source| *source == ColumnSource::Label(column))?;
            Some(self.schema.field(place).name().clone())
        };
        wanted.into_iter().map(name).collect()
    }
}

/// The key columns of a view as the join wants them.
pub(crate) fn key_columns(view: &ViewDefinition) -> Vec<KeyColumn> {
    let column = |key: &millstream_features::view::KeyDefinition| KeyColumn {
        name: key.name.clone(),
        data_type: key.data_type.clone(),
    };
    view.keys.iter().map(column).collect()
}

/// Tells whether a column can be read as an instant without losing anything.
pub(crate) fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _)
            | DataType::Date32
            | DataType::Date64
    )
}

fn plan_error(plan: &DatasetPlan, reason: String) -> DatasetError {
    DatasetError::Plan { dataset: plan.name.clone(), reason }
}

fn check_labels(plan: &DatasetPlan) -> Result<(), DatasetError> {
    let labels = &plan.labels;
    let columns = labels.schema.fields().len();
    let split = match plan.split.as_ref().map(|split| &split.by) {
        Some(SplitBy::Hash { columns, .. }) => columns.as_slice(),
        _ => &[],
    };
    let cut = match labels.as_known {
        Some(AsKnown::Column(column)) => Some(column),
        _ => None,
    };
    let named = labels.keys.iter().flatten().chain(&labels.kept).chain(&labels.targets).chain(split);
    let beyond = named.chain([&labels.time]).chain(&cut).find(|number| **number >= columns);
    if let Some(number) = beyond {
        let reason = format!("{} has {columns} columns, number {number} is asked for", labels.origin);
        return Err(plan_error(plan, reason));
    }
    if labels.keys.len() != plan.service.views.len() {
        let (keys, views) = (labels.keys.len(), plan.service.views.len());
        return Err(plan_error(plan, format!("there are keys for {keys} views, the service has {views}")));
    }
    for (what, number) in [("time", Some(labels.time)), ("known-time cut-off", cut)] {
        let Some(field) = number.map(|number| labels.schema.field(number)) else { continue };
        if !is_time(field.data_type()) {
            let (column, found) = (field.name().clone(), field.data_type().clone());
            return Err(DatasetError::TimeType { labels: labels.origin.clone(), what, column, found });
        }
    }
    let mut request = plan.service.request().into_iter();
    match request.find(|value| labels.schema.column_with_name(&value.name).is_none()) {
        Some(value) => {
            let reason = format!(
                "an on-demand feature reads `{}`, which is no column of {}",
                value.name, labels.origin
            );
            Err(plan_error(plan, reason))
        }
        None => Ok(()),
    }
}

fn check_shares(plan: &DatasetPlan) -> Result<(), DatasetError> {
    let Some(split) = &plan.split else { return Ok(()) };
    let shares = [split.shares.train, split.shares.validation, split.shares.test];
    let is_whole = (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9;
    if is_whole && shares.iter().all(|share| (0.0..=1.0).contains(share)) {
        Ok(())
    } else {
        Err(plan_error(plan, format!("the shares of the split are {shares:?}, which is not the whole")))
    }
}

/// Lets the join itself judge the types, on no rows, so that there is one judge.
fn check_keys(plan: &DatasetPlan, view: &ViewDefinition, keys: &[usize]) -> Result<(), DatasetError> {
    let field = |number: &usize| plan.labels.schema.field(*number);
    let columns: Vec<ArrayRef> = keys.iter().map(|key| new_empty_array(field(key).data_type())).collect();
    match partitions(&key_columns(view), &columns, 0, 1) {
        Ok(_) => Ok(()),
        Err(AsofError::KeyType { key, expected, found, .. }) => {
            let place = view.keys.iter().position(|known| known.name == key);
            let column = place.and_then(|place| keys.get(place)).map(|number| field(number).name().clone());
            Err(DatasetError::KeyType {
                labels: plan.labels.origin.clone(),
                column: column.unwrap_or_default(),
                found,
                view: view.name.clone(),
                key,
                expected,
            })
        }
        Err(error) => Err(plan_error(plan, format!("{error} (view `{}`)", view.name))),
    }
}

fn needed_features(plan: &DatasetPlan) -> Result<Vec<Vec<usize>>, DatasetError> {
    let service = &plan.service;
    let mut needed = vec![Vec::new(); service.views.len()];
    let asked = service.features.iter().map(|feature| (&feature.name, feature.source));
    let inputs = service.on_demand.iter().flat_map(|feature| &feature.inputs);
    for (name, source) in asked.chain(inputs.map(|input| (&input.name, input.source))) {
        if service.data_type(source).is_none() {
            return Err(plan_error(plan, format!("the service does not define `{name}`")));
        }
        if let FeatureSource::View { view, feature } = source
            && let Some(features) = needed.get_mut(view)
        {
            features.push(feature);
        }
    }
    for features in &mut needed {
        features.sort_unstable();
        features.dedup();
    }
    Ok(needed)
}

fn columns(plan: &DatasetPlan, features: &[Vec<usize>]) -> Result<Vec<(Field, ColumnSource)>, DatasetError> {
    let labels = plan.labels.schema.fields().iter().enumerate();
    let kept = labels.filter(|(number, _)| plan.labels.kept.contains(number));
    // Metadata of fields comes in no fixed order, and the same inputs must give the same bytes.
    let mut columns: Vec<_> = kept
        .map(|(number, field)| {
            (nullable(field.name(), field.data_type().clone()), ColumnSource::Label(number))
        })
        .collect();
    for feature in &plan.service.features {
        let source = match feature.source {
            FeatureSource::OnDemand(number) => Some(ColumnSource::OnDemand(number)),
            FeatureSource::View { view, feature } => features
                .get(view)
                .and_then(|features| features.iter().position(|number| *number == feature))
                .map(|at| ColumnSource::Feature { view, at }),
        };
        let data_type = plan.service.data_type(feature.source).cloned();
        let (Some(source), Some(data_type)) = (source, data_type) else {
            return Err(plan_error(plan, format!("the service does not define `{}`", feature.name)));
        };
        columns.push((nullable(&feature.name, data_type), source));
    }
    if plan.split.is_some() {
        columns.push((nullable(SPLIT, DataType::Utf8), ColumnSource::Split));
    }
    Ok(columns)
}

fn nullable(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn check_names(plan: &DatasetPlan, fields: &[Field], sources: &[ColumnSource]) -> Result<(), DatasetError> {
    let describe = |source: &ColumnSource| match source {
        ColumnSource::Label(_) => format!("a column of {}", plan.labels.origin),
        ColumnSource::Feature { view, .. } => {
            format!("a feature of the view `{}`", plan.service.views.get(*view).map_or("", |view| &view.name))
        }
        ColumnSource::OnDemand(_) => "an on-demand feature".into(),
        ColumnSource::Split => "the side of the split".into(),
    };
    let mut seen: HashMap<&str, &ColumnSource> = HashMap::new();
    for (field, source) in fields.iter().zip(sources) {
        if let Some(first) = seen.insert(field.name(), source) {
            let (first, second) = (describe(first), describe(source));
            return Err(DatasetError::DuplicateColumn { name: field.name().clone(), first, second });
        }
    }
    Ok(())
}

fn check_encodings(
    plan: &DatasetPlan,
    fields: &[Field],
    sources: &[ColumnSource],
) -> Result<(), DatasetError> {
    let data_type = |name: &String| {
        let mut columns = fields.iter().zip(sources).filter(|(_, source)| **source != ColumnSource::Split);
        let found = columns.find(|(field, _)| field.name() == name);
        found.map(|(field, _)| field.data_type()).ok_or_else(|| {
            plan_error(plan, format!("an encoding names `{name}`, which is no column of the output"))
        })
    };
    let mut seen = HashSet::new();
    if let Some(twice) = plan.encodings.iter().find(|encoding| !seen.insert(&encoding.column)) {
        let reason = format!("`{}` has two encodings; make them one chain", twice.column);
        return Err(plan_error(plan, reason));
    }
    for encoding in &plan.encodings {
        let column = data_type(&encoding.column)?;
        let target = encoding.target.as_ref().map(data_type).transpose()?;
        check_chain(&encoding.encodings, column, target).map_err(|source| DatasetError::Encoding {
            column: encoding.column.clone(),
            action: "fitted",
            source,
        })?;
    }
    Ok(())
}
