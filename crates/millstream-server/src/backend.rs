//! The rest of Millstream as the server sees it: one trait for each area, implemented by the binary.

use std::{fmt, sync::Arc};

use crate::{datasets::DatasetBackend, features::FeatureBackend, query::QueryBackend};

/// What answers each area.
#[derive(Clone)]
pub struct Backends {
    pub features: Arc<dyn FeatureBackend>,
    pub datasets: Arc<dyn DatasetBackend>,
    pub query: Arc<dyn QueryBackend>,
}

impl Backends {
    /// One value that answers all areas.
    pub fn of<B>(backend: Arc<B>) -> Self
    where
        B: FeatureBackend + DatasetBackend + QueryBackend,
    {
        Self { features: backend.clone(), datasets: backend.clone(), query: backend }
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends").finish_non_exhaustive()
    }
}
