//! The rest of Millstream as the server sees it: one trait for each area, implemented by the binary.

use std::{fmt, sync::Arc};

use crate::{
    backfills::BackfillBackend, catalog::CatalogBackend, datasets::DatasetBackend, features::FeatureBackend,
    ingest::IngestBackend, jobs::JobBackend, pipelines::PipelineBackend, project::ProjectBackend,
    query::QueryBackend, runs::RunBackend, schedule::ScheduleBackend,
};

/// What answers each area.
#[derive(Clone)]
pub struct Backends {
    pub features: Arc<dyn FeatureBackend>,
    pub ingest: Arc<dyn IngestBackend>,
    pub datasets: Arc<dyn DatasetBackend>,
    pub query: Arc<dyn QueryBackend>,
    pub catalog: Arc<dyn CatalogBackend>,
    pub runs: Arc<dyn RunBackend>,
    pub backfills: Arc<dyn BackfillBackend>,
    pub schedule: Arc<dyn ScheduleBackend>,
    pub pipelines: Arc<dyn PipelineBackend>,
    pub jobs: Arc<dyn JobBackend>,
    pub project: Arc<dyn ProjectBackend>,
}

impl Backends {
    /// One value that answers all areas.
    pub fn of<B>(backend: Arc<B>) -> Self
    where
        B: FeatureBackend
            + IngestBackend
            + DatasetBackend
            + QueryBackend
            + CatalogBackend
            + RunBackend
            + BackfillBackend
            + ScheduleBackend
            + PipelineBackend
            + JobBackend
            + ProjectBackend,
    {
        Self {
            features: backend.clone(),
            ingest: backend.clone(),
            datasets: backend.clone(),
            query: backend.clone(),
            catalog: backend.clone(),
            runs: backend.clone(),
            backfills: backend.clone(),
            schedule: backend.clone(),
            pipelines: backend.clone(),
            jobs: backend.clone(),
            project: backend,
        }
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends").finish_non_exhaustive()
    }
}
