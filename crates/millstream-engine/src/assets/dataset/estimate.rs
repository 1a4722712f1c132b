//! `millstream dataset build --dry-run`: what a build would cost.

use futures::{TryStreamExt, future::BoxFuture};
use millstream_ml::dataset::{Estimate, estimate};

use super::build::{DatasetRequest, ready};
use crate::{Engine, EngineError, features::rows::pushed_table};

impl Engine {
    /// Estimates the cost of a build. Label rows are counted exactly, which reads them; the number of events is taken from the
    /// figures of their tables.
    pub fn estimate_dataset<'a>(
        &'a self,
        request: &'a DatasetRequest,
    ) -> BoxFuture<'a, Result<Estimate, EngineError>> {
        Box::pin(async move {
            let ready = ready(self.world(), request, self.world().published().await?).await?;
            let mut rows = ready.labels.rows;
            let mut labels = 0_u64;
            let project = &self.world().project;
            let tables = project.features.datasets.get(&request.name).map(|known| &known.dependencies);
            let told =
                |error| project.told_of_dataset(tables.map_or(&[], Vec::as_slice), std::iter::empty(), error);
            while let Some(batch) = rows.try_next().await.map_err(told)? {
                labels += batch.num_rows() as u64;
            }
            let snapshots = ready.inputs.pinning.snapshots();
            let mut events = Vec::with_capacity(ready.plan.service.views.len());
            for view in &ready.plan.service.views {
                let pushed = pushed_table(&view.name)?;
                let own = project.features.views.get(&view.name);
                let tables = own.into_iter().flat_map(|own| &own.dependencies).chain([&pushed]);
                // A view's own SQL may give fewer or more rows than its table has.
                let rows =
                    tables.filter_map(|table| snapshots.get(table)).filter_map(|snapshot| snapshot.rows());
                events.push(rows.sum());
            }
            let name = ready.spec.name.clone();
            estimate(&ready.plan, labels, &events).map_err(|source| EngineError::Dataset { name, source })
        })
    }
}
