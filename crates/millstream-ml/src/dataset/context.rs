//! What every phase of a build refers to.

use std::sync::Arc;

use millstream_spool::Space;

use super::{layout::Layout, plan::DatasetPlan, progress::Progress};

/// One build, from the moment its plan is known to make sense.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a DatasetPlan,
    pub(crate) layout: &'a Layout,
    pub(crate) space: &'a Arc<Space>,
    pub(crate) report: &'a dyn Fn(Progress<'_>),
}
