//! How the product tells outside what it does: figures for who comes to read them, deliveries to who wants to be told, and bodies for
//! a server that takes them.
//!
//! May touch: the network and files of a delivery, what the operating system says of this process. Must not: know a project,
//! runs or the state store; decide what is told.

mod delivery;
mod metrics;
mod post;

pub use delivery::{Delivery, DeliveryError};
pub use metrics::{IntakeSeen, Metrics, PipelineSeen, RouteFigures, StepSeen};
pub use post::{Posted, Poster};
