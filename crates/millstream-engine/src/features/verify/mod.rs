//! Whether what was served is what training would have seen, and if not, why.
//!
//! Each sampled value is computed again from the lake, for the entity and the time it was served for. A difference is
//! traced: with the lake as it was known when the value was served, and as far as the online store had it.

mod compute;
mod sample;
mod trace;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use millstream_types::Span;
use serde::{Deserialize, Serialize};

use self::{
    compute::Subject,
    sample::{Origin, Sample},
    trace::{ComparedValue, compare},
};
use super::{server::Readable, services};
use crate::{Engine, EngineError};

/// Examples of differences that are kept for each feature and cause.
const EXAMPLES_MAX: usize = 3;

/// A request to compare served values with the lake.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// The span before the present whose served values are taken.
    pub since: Span,
    /// The most served values that are compared; the newest are taken.
    pub limit: u64,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    pub features: Vec<FeatureMatch>,
    pub values: u64,
    pub equal: u64,
}

/// The compared values of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureMatch {
    /// `view.feature`, or the name of an on-demand feature.
    pub feature: String,
    pub values: u64,
    pub equal: u64,
    /// The number of values that differ, by cause.
    pub causes: BTreeMap<Difference, u64>,
    pub examples: Vec<DifferenceExample>,
}

/// Why a served value is not the one that training sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// An event became known only after the value was served.
    LateEvent,
    /// The lake had the event, the online store did not yet.
    MaterializationLag,
    /// The store had a newer event than the lake has: it was pushed to the store only, or the lake lost it since. Of what is
    /// computed of several views, the newest event of all is compared.
    OnlineOnly,
    /// The value of one side is expired, and that of the other is not.
    Ttl,
    /// The values are equal but for their type.
    Type,
    /// The view is defined in another way now.
    DefinitionChanged,
    /// The store could not give the value exactly, and said so.
    Degraded,
    /// The difference has none of these causes.
    Unexplained,
}

impl Difference {
    pub const ALL: [Self; 8] = [
        Self::LateEvent,
        Self::MaterializationLag,
        Self::OnlineOnly,
        Self::Ttl,
        Self::Type,
        Self::DefinitionChanged,
        Self::Degraded,
        Self::Unexplained,
    ];

    /// The word for the cause in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LateEvent => "late_event",
            Self::MaterializationLag => "materialization_lag",
            Self::OnlineOnly => "online_only",
            Self::Ttl => "ttl",
            Self::Type => "type",
            Self::DefinitionChanged => "definition_changed",
            Self::Degraded => "degraded",
            Self::Unexplained => "unexplained",
        }
    }
}

/// An example of a difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferenceExample {
    pub cause: Difference,
    /// The key as JSON; that of an on-demand feature has the values of the request too.
    pub entity: String,
    /// The time that was asked for, in microseconds.
    pub at: i64,
    pub served: Option<String>,
    pub computed: Option<String>,
}

impl Engine {
    /// Compares sampled values with the lake, and keeps the report.
    pub fn verify_features<'a>(
        &'a self,
        request: &'a VerifyRequest,
    ) -> BoxFuture<'a, Result<VerifyReport, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let samples = sample::samples(world, request).await?;
            let views = services::stored_views(world).await?;
            let served = services::recorded(world).await?;
            let mut report = VerifyReport::default();
            for (origin, sample) in samples {
                let subject = match &origin {
                    Origin::View { space, .. } => {
                        views.get(space).map(|view| Subject::View(&view.definition))
                    }
                    Origin::OnDemand { service, version } => {
                        let known =
                            served.iter().find(|known| known.name == *service && known.version == *version);
                        let readable =
                            known.map(|known| Readable::new(known.definition.clone(), Some(*version)));
                        readable.transpose()?.map(|readable| Subject::OnDemand(Box::new(readable)))
                    }
                };
                let compared = match subject {
                    Some(subject) => compare(world, &subject, &sample).await?,
                    None => ComparedValue::all(Difference::DefinitionChanged, sample.len()),
                };
                report.add(&origin, &sample, &compared);
            }
            let text = serde_json::to_string(&report)
                .map_err(|source| EngineError::Definition { name: "verification".to_owned(), source })?;
            world.state.record_verification(world.options.clock.now(), &text).await?;
            Ok(report)
        })
    }
}

impl VerifyReport {
    fn add(&mut self, origin: &Origin, sample: &Sample, compared: &[ComparedValue]) {
        for (row, compared) in compared.iter().enumerate() {
            let Some(feature) = sample.feature.get(row).map(|feature| origin.named(feature)) else {
                continue;
            };
            let at = match self.features.iter().position(|known| known.feature == feature) {
                Some(at) => at,
                None => {
                    self.features.push(FeatureMatch {
                        feature,
                        values: 0,
                        equal: 0,
                        causes: BTreeMap::new(),
                        examples: Vec::new(),
                    });
                    self.features.len() - 1
                }
            };
            let Some(known) = self.features.get_mut(at) else { continue };
            known.values += 1;
            self.values += 1;
            let Some(cause) = compared.cause else {
                known.equal += 1;
                self.equal += 1;
                continue;
            };
            *known.causes.entry(cause).or_default() += 1;
            if known.examples.iter().filter(|example| example.cause == cause).count() < EXAMPLES_MAX {
                known.examples.push(DifferenceExample {
                    cause,
                    entity: sample.entity.get(row).cloned().unwrap_or_default(),
                    at: sample.at.get(row).copied().unwrap_or_default(),
                    served: sample.value.get(row).cloned().flatten(),
                    computed: compared.computed.clone(),
                });
            }
        }
    }
}
