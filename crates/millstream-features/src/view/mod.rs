//! A feature view as every execution sees it: a definition that needs nothing else, and rows of events in one shape.

mod definition;

pub use definition::{
    ColumnDefinition, FeatureDefinition, FeatureValue, KNOWN, KeyDefinition, SEQUENCE, Status, TIME,
    VIEW_VERSION, ViewDefinition,
};
