//! Labels against the events of a view.

use std::{num::NonZeroUsize, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, new_null_array},
    compute::{is_null, kernels::zip::zip, nullif},
    datatypes::TimestampMicrosecondType,
};

use super::{
    super::Status,
    JoinOptions,
    events::Kept,
    plan::{OutputFeature, OutputFeatureValue, Plan},
    statuses::Statuses,
};
use crate::{
    FeatureError,
    aggregate::Column,
    asof::{AsofError, AsofIndex, LabelRows, MatchStatus, Matches},
    timeline::NO_ENTITY,
    window::{Blank, Reads, Sorted, WindowValues, read},
};

/// A view's events in order: labels may be joined with it batch by batch, from several threads. Each call costs a pass
/// over the events of the labels' entities, so many labels at once are cheaper than the same in small batches.
#[derive(Debug)]
pub struct JoinedView {
    plan: Plan,
    threads: NonZeroUsize,
    index: AsofIndex,
    /// The columns of the wanted newest-row features, in the order of the output.
    newest: Vec<RecordBatch>,
    /// The columns that windows name, by number.
    columns: Vec<Option<Arc<Column>>>,
}

/// The features of each label, in the labels' order.
#[derive(Debug)]
pub struct ViewValues {
    /// The values of the features, in the order in which they were asked for, each of the type in its definition.
    pub features: Vec<ArrayRef>,
    /// The statuses of the values, in the order of the features.
    pub statuses: Vec<Statuses>,
    /// The times of the newest visible events, be they expired; null where none was visible.
    pub event_times: TimestampMicrosecondArray,
}

impl JoinedView {
    pub(super) fn new(
        plan: Plan,
        options: JoinOptions,
        mut index: AsofIndex,
        kept: Kept,
    ) -> Result<Self, FeatureError> {
        kept.order_ties(&mut index)?;
        let kept = kept.finish(&plan)?;
        Ok(Self { plan, threads: options.threads, index, newest: kept.newest, columns: kept.windowed })
    }

    /// The number of rows of events, those without key or time included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.index.rows()
    }

    /// The number of entities that have events.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.index.keys()
    }

    /// The features of each label.
    ///
    /// # Errors
    ///
    /// A column of the labels has another type than the view's or another length, or labels have a cut-off that the join was
    /// not made for. That there is one answer for each label, and none from its future, is checked before it is given.
    pub fn join(&self, labels: &LabelRows<'_>) -> Result<ViewValues, FeatureError> {
        let (matches, ordinals) = self.index.join_ordinals(labels)?;
        let newest = self.newest(&matches)?;
        let windowed = self.windowed(labels, ordinals)?;
        let found: Arc<[Status]> = matches.statuses().iter().map(|status| of_match(*status)).collect();
        let is_expired = |status: &Status| Some(*status == Status::Expired);
        let expired: Option<BooleanArray> =
            found.contains(&Status::Expired).then(|| found.iter().map(is_expired).collect());
        let mut values = ViewValues {
            features: Vec::with_capacity(self.plan.features.len()),
            statuses: Vec::with_capacity(self.plan.features.len()),
            event_times: matches.event_times().clone(),
        };
        let mut newest = newest.into_iter();
        for feature in &self.plan.features {
            let found_values = match feature.value {
                OutputFeatureValue::Newest(_) => newest.next().map(|values| (values, Vec::new())),
                OutputFeatureValue::Window(number) => {
                    windowed.get(number).cloned().map(|found| (found.values, found.outgrown))
                }
            };
            let (value, mut outgrown) = found_values.ok_or(FeatureError::Mismatch)?;
            // What is expired is null, however much there was.
            outgrown.retain(|label| found.get(*label as usize) == Some(&Status::Present));
            let value = match (&expired, feature.value) {
                (Some(expired), OutputFeatureValue::Window(_)) => {
                    nullif(&value, expired).map_err(FeatureError::arrow("leave out what is expired"))?
                }
                _ => value,
            };
            verify(&value, feature, matches.len())?;
            values.features.push(with_default(&value, feature, &outgrown)?);
            values.statuses.push(Statuses::new(Arc::clone(&found), value.logical_nulls(), outgrown));
        }
        Ok(values)
    }

    fn newest(&self, matches: &Matches) -> Result<Vec<ArrayRef>, FeatureError> {
        if self.newest.is_empty() {
            let newest = |feature: &&OutputFeature| matches!(feature.value, OutputFeatureValue::Newest(_));
            let nothing = |feature: &OutputFeature| new_null_array(&feature.data_type, matches.len());
            return Ok(self.plan.features.iter().filter(newest).map(nothing).collect());
        }
        Ok(matches.take(&self.newest, self.threads)?)
    }

    fn windowed(
        &self,
        labels: &LabelRows<'_>,
        mut ordinals: Vec<u32>,
    ) -> Result<Vec<WindowValues>, FeatureError> {
        if self.plan.layout.features.is_empty() {
            return Ok(Vec::new());
        }
        // The columns were checked to be instants when they were joined.
        for column in [Some(labels.time), labels.as_known].into_iter().flatten() {
            if let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
                let is_timeless = ordinals.iter_mut().zip(&nulls).filter(|(_, is_valid)| !is_valid);
                is_timeless.for_each(|(ordinal, _)| *ordinal = NO_ENTITY);
            }
        }
        let instants =
            |column: &'_ ArrayRef| column.as_primitive::<TimestampMicrosecondType>().values().clone();
        let (times, cuts) = (instants(labels.time), labels.as_known.map(instants));
        let reads = Reads { entities: &ordinals, times: &times, cuts: cuts.as_deref() };
        let events = Sorted { lines: self.index.lines(), known: self.index.known(), columns: &self.columns };
        read(events, reads, &self.plan.layout, |_| Blank::EmptyWindow, self.threads)
    }
}

fn of_match(status: MatchStatus) -> Status {
    match status {
        MatchStatus::Present => Status::Present,
        MatchStatus::NotFound => Status::Missing,
        MatchStatus::Expired => Status::Expired,
    }
}

/// Looks once more at what the join promises of each feature.
fn verify(value: &ArrayRef, feature: &OutputFeature, labels: usize) -> Result<(), FeatureError> {
    if value.len() != labels {
        let label = value.len().min(labels);
        return Err(AsofError::Broken { label, promise: "one answer for each label" }.into());
    }
    if value.data_type() != &feature.data_type {
        return Err(AsofError::Broken { label: 0, promise: "a feature keeps its type" }.into());
    }
    Ok(())
}

/// The values with the default in place of nulls, except where there is more than the feature can hold.
fn with_default(
    value: &ArrayRef,
    feature: &OutputFeature,
    outgrown: &[u32],
) -> Result<ArrayRef, FeatureError> {
    let Some(default) = feature.default.as_ref().filter(|_| value.logical_null_count() > 0) else {
        return Ok(Arc::clone(value));
    };
    let nulls = is_null(value).map(|nulls| match outgrown {
        [] => nulls,
        // Few labels, if any: each is looked for.
        _ => (0_u32..)
            .zip(&nulls)
            .map(|(row, is_null)| Some(is_null == Some(true) && outgrown.binary_search(&row).is_err()))
            .collect(),
    });
    let filled = nulls.and_then(|nulls| zip(&nulls, default, value));
    filled.map_err(FeatureError::arrow("put in a default"))
}
