//! How the product tells outside what it does: figures for who comes to read them, and deliveries to who wants to be told.
//!
//! May touch: the network and files of a delivery, what the operating system says of this process. Must not: know a project,
//! runs or the state store; decide what is told.

mod delivery;
mod metrics;

pub use delivery::{Delivery, DeliveryError};
pub use metrics::{Metrics, RouteFigures, StepSeen};
