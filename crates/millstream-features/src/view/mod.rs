//! A feature view as every execution sees it: a definition that needs nothing else, and rows of events in one shape.

mod definition;
mod offline;
mod service;

pub use definition::{
    ColumnDefinition, FeatureDefinition, FeatureValue, KNOWN, KeyDefinition, RowDefinition, SEQUENCE, Status,
    TIME, VIEW_VERSION, ViewDefinition,
};
pub use offline::{JoinOptions, JoinedView, Statuses, ViewJoin, ViewValues};
pub use service::{
    EntityDefinition, FeatureSource, OnDemandDefinition, OnDemandInput, RequestValue, SERVICE_VERSION,
    ServiceDefinition, ServiceFeature,
};
