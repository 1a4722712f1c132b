//! Features: what there is, reading and pushing it, and comparing what was served with the lake.

mod access;
mod encoded;
pub(crate) mod keys;
mod list;
mod materialized;
pub(crate) mod pushed;
mod remove;
pub(crate) mod rows;
mod served;
mod server;
mod statistics;
mod verify;

use crate::assets::{feature_view::progress, service::versions as services};

pub(crate) use access::OnlineAccess;
pub use list::{FeatureEntry, FeatureList, OnDemandEntry, ServiceEntry, ViewEntry};
pub use pushed::PushTo;
pub(crate) use served::{SERVED, served_schema};
pub(crate) use server::Inner;
pub(crate) use server::online_view;
pub use server::{FeatureServer, ReadColumn, Readable, ReadableName};
pub use statistics::ViewStatistics;
pub use verify::{Difference, DifferenceExample, FeatureMatch, VerifyReport, VerifyRequest};
