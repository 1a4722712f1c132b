//! A feature view as every execution sees it: a definition that needs nothing else, and rows of events in one shape.

mod definition;
mod identity;
mod key;
mod offline;
mod online;
mod service;

pub use definition::{
    ColumnDefinition, FeatureDefinition, FeatureValue, KNOWN, KeyDefinition, RowDefinition, SEQUENCE, Status,
    TIME, VIEW_VERSION, ViewDefinition,
};
pub use key::{EntityKey, KEY_VERSION, entity_keys};
pub use offline::{JoinOptions, JoinedView, Statuses, ViewJoin, ViewValues};
pub use online::{
    Chunk, Columns, Edit, EntityEvents, MARK_LAG, OnlineView, OnlineViewError, PUSHED_MAX, Position,
    RECENT_MAX, RECORD_VERSION, ReadPlan, Reading,
};
pub use service::{
    EntityDefinition, FeatureSource, OnDemandDefinition, OnDemandInput, RequestValue, ServiceDefinition,
    ServiceFeature,
};
