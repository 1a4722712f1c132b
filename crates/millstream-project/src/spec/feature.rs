//! Entities, feature views, on-demand features and services.

use indexmap::IndexSet;
use millstream_types::{Aggregation, ColumnType, Span, TableName};

use super::{Scalar, ScheduleSpec, StepsSpec};
use crate::{Located, Location};

/// Everything of `features/`, each kind in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct FeaturesSpec {
    pub entities: Vec<EntitySpec>,
    pub views: Vec<FeatureViewSpec>,
    pub on_demand: Vec<OnDemandSpec>,
    pub request: Vec<RequestSpec>,
    pub services: Vec<ServiceSpec>,
}

impl FeaturesSpec {
    #[must_use]
    pub fn entity(&self, name: &str) -> Option<&EntitySpec> {
        self.entities.iter().find(|entity| entity.name == name)
    }

    #[must_use]
    pub fn view(&self, name: &str) -> Option<&FeatureViewSpec> {
        self.views.iter().find(|view| view.name == name)
    }

    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The features that a list stands for, wildcards spelled out, each once, in the order of the list.
    #[must_use]
    pub fn expand(&self, list: &[Located<FeatureRef>]) -> Vec<FeatureRef> {
        let mut features = IndexSet::new();
        for item in list {
            match &item.value {
                FeatureRef::View { view } => {
                    let of_view = self.view(view).into_iter().flat_map(|view| &view.features);
                    features.extend(of_view.map(|feature| FeatureRef::Feature {
                        view: view.clone(),
                        feature: feature.name.clone(),
                    }));
                }
                one => drop(features.insert(one.clone())),
            }
        }
        features.into_iter().collect()
    }
}

/// The thing that features describe.
#[derive(Clone, Debug)]
pub struct EntitySpec {
    pub name: String,
    pub at: Location,
    /// The key columns: at least one, and each once.
    pub keys: Vec<Located<String>>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
}

/// Features of one entity computed from one table.
#[derive(Clone, Debug)]
pub struct FeatureViewSpec {
    pub name: String,
    pub at: Location,
    pub entity: Located<String>,
    pub from: Located<TableName>,
    /// A query over the table that runs before anything is computed.
    pub sql: Option<Located<String>>,
    /// The column of the event time.
    pub time: Located<String>,
    /// A value older than this is expired; exactly this old is not.
    pub ttl: Option<Span>,
    /// Whether a row is visible at its own event time, and not only after it.
    pub include_same_instant: bool,
    /// Whether the view follows the events of its source as they arrive, where the source takes events in.
    pub stream: bool,
    pub features: Vec<FeatureSpec>,
    /// When the view runs by itself.
    pub schedule: Option<ScheduleSpec>,
    pub steps: StepsSpec,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
}

/// One feature of a view.
#[derive(Clone, Debug)]
pub struct FeatureSpec {
    pub name: String,
    pub at: Location,
    pub value: FeatureValue,
    /// The time that rows count back; `None` is all time.
    pub window: Option<Span>,
    /// A SQL condition on the rows that count.
    pub filter: Option<Located<String>>,
    /// The value where nothing was found.
    pub default: Option<Located<Scalar>>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
}

/// What a feature is.
#[derive(Clone, Debug)]
pub enum FeatureValue {
    /// The column of the newest row.
    Column(Located<String>),
    /// A value that is computed from the rows in the window.
    Aggregate(AggregateSpec),
    /// One aggregation divided by another, both over the feature's window, or the second over a window of its own.
    Ratio { numerator: AggregateSpec, denominator: AggregateSpec, against: Option<Span> },
    /// What one aggregation has over the window more than over the one of the same length before it.
    Change(AggregateSpec),
}

/// One aggregation.
#[derive(Clone, Debug)]
pub struct AggregateSpec {
    /// The kind of aggregation, with parameters that are within their bounds.
    pub kind: Aggregation,
    /// The place of the kind's key.
    pub at: Location,
    /// The column that is read, or the SQL condition of `count_if`; `None` where rows are counted (`"*"`).
    pub input: Option<Located<String>>,
    /// The condition that a side of a ratio has beside the feature's own.
    pub filter: Option<Located<String>>,
}

/// A SQL expression over features and request values.
#[derive(Clone, Debug)]
pub struct OnDemandSpec {
    pub name: String,
    pub at: Location,
    pub sql: Located<String>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
}

/// The type of a value that comes with a request.
#[derive(Clone, Debug)]
pub struct RequestSpec {
    pub name: String,
    pub at: Location,
    pub column_type: ColumnType,
}

/// A named list of features that a model reads.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    pub name: String,
    pub at: Location,
    /// The features as they are written; [`FeaturesSpec::expand`] spells the wildcards out.
    pub features: Vec<Located<FeatureRef>>,
}

/// An item of a list of features.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FeatureRef {
    /// `orders.spend_30d`
    Feature { view: String, feature: String },
    /// `orders.*`
    View { view: String },
    /// `basket_vs_average`
    OnDemand { name: String },
}
