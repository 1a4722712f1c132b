//! A feature service once everything that it reads is known: what a model's version refers to, and what a server needs
//! to answer without the project.

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::{KeyDefinition, ViewDefinition, definition::type_text};

/// A list of features with all that decides on their values. It never changes; a service that changes becomes
/// another definition with another [`ServiceDefinition::version`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDefinition {
    pub name: String,
    /// What a read names: every entity of the views, each once.
    pub entities: Vec<EntityDefinition>,
    /// The views that the features, or the inputs of on-demand features, belong to.
    pub views: Vec<ViewDefinition>,
    /// The answer's columns, in order.
    pub features: Vec<ServiceFeature>,
    /// The on-demand features that are asked for and those that they use; each one stands after the ones that it uses.
    pub on_demand: Vec<OnDemandDefinition>,
}

/// The thing that features describe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityDefinition {
    pub name: String,
    /// The columns of the entity's key, of types that are wide enough for the keys of each of its views.
    pub keys: Vec<KeyDefinition>,
}

/// One column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFeature {
    /// The column's name: `view.feature`, or the name of an on-demand feature.
    pub name: String,
    pub source: FeatureSource,
}

/// Where a value is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSource {
    /// The value is that of a view's feature, given by the number of the view in the service and of the feature in the view.
    View { view: usize, feature: usize },
    /// The value is that of the service's on-demand feature with this number.
    OnDemand(usize),
}

/// A SQL expression over features and values that come with a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnDemandDefinition {
    pub name: String,
    /// The expression, written in one way only. Features of views are named `view.feature`.
    pub sql: String,
    pub inputs: Vec<OnDemandInput>,
    /// The values of a request that the expression uses, which are named without a dot in `sql`.
    pub request: Vec<RequestValue>,
    #[serde(with = "type_text")]
    pub data_type: DataType,
}

/// A feature that an expression uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnDemandInput {
    /// The feature's name in the expression.
    pub name: String,
    pub source: FeatureSource,
    #[serde(with = "type_text")]
    pub data_type: DataType,
}

/// A value that comes with a request, one for each entity asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestValue {
    pub name: String,
    #[serde(with = "type_text")]
    pub data_type: DataType,
}

impl ServiceDefinition {
    /// Every value that a request has to bring, each once, in the order of first use.
    #[must_use]
    pub fn request(&self) -> Vec<RequestValue> {
        let mut values: Vec<RequestValue> = Vec::new();
        for value in self.on_demand.iter().flat_map(|feature| &feature.request) {
            if !values.iter().any(|known| known.name == value.name) {
                values.push(value.clone());
            }
        }
        values
    }

    /// The type of a value; none for a number that the service does not have.
    #[must_use]
    pub fn data_type(&self, source: FeatureSource) -> Option<&DataType> {
        match source {
            FeatureSource::View { view, feature } => {
                self.views.get(view)?.features.get(feature).map(|feature| &feature.data_type)
            }
            FeatureSource::OnDemand(index) => self.on_demand.get(index).map(|feature| &feature.data_type),
        }
    }
}
