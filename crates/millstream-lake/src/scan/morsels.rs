//! Where the rows of data files come out: an error leaves with the file that was open. The reader does not only answer with errors to
//! bytes that make no sense: it panics over some, which is an error here too.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion_datasource::{
    PartitionedFile,
    morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer},
};
use futures::{FutureExt, StreamExt, stream::BoxStream};

use super::ScannedFile;

/// Opens files one after the other, each as a plan that knows its file.
#[derive(Debug)]
pub(super) struct DataFiles(pub(super) Box<dyn Morselizer>);

impl Morselizer for DataFiles {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let scanned = ScannedFile::of(&file)?;
        let planner = scanned.outcome(catch_unwind(AssertUnwindSafe(|| self.0.plan_file(file))))?;
        Ok(DataFilePlanner::of(planner, scanned))
    }
}

#[derive(Debug)]
struct DataFilePlanner {
    planner: Box<dyn MorselPlanner>,
    scanned: Arc<ScannedFile>,
}

impl DataFilePlanner {
    fn of(planner: Box<dyn MorselPlanner>, scanned: Arc<ScannedFile>) -> Box<dyn MorselPlanner> {
        Box::new(Self { planner, scanned })
    }
}

impl MorselPlanner for DataFilePlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { planner, scanned } = *self;
        let plan = scanned.outcome(catch_unwind(AssertUnwindSafe(|| planner.plan())))?;
        let Some(mut plan) = plan else { return Ok(None) };
        let morsels = plan.take_morsels().into_iter().map(|morsel| {
            let scanned = scanned.clone();
            Box::new(DataFileMorsel { morsel, scanned }) as Box<dyn Morsel>
        });
        let morsels = morsels.collect();
        let planners = plan.take_ready_planners().into_iter();
        let planners = planners.map(|planner| DataFilePlanner::of(planner, scanned.clone())).collect();
        let mut told = MorselPlan::new().with_morsels(morsels).with_planners(planners);
        if let Some(pending) = plan.take_pending_planner() {
            told.set_pending_planner(async move {
                let planner = scanned.outcome(AssertUnwindSafe(pending).catch_unwind().await)?;
                Ok(DataFilePlanner::of(planner, scanned))
            });
        }
        Ok(Some(told))
    }
}

#[derive(Debug)]
struct DataFileMorsel {
    morsel: Box<dyn Morsel>,
    scanned: Arc<ScannedFile>,
}

impl Morsel for DataFileMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { morsel, scanned } = *self;
        let rows = catch_unwind(AssertUnwindSafe(|| morsel.into_stream()));
        let rows = match scanned.outcome(rows.map(Ok)) {
            Ok(rows) => AssertUnwindSafe(rows).catch_unwind(),
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        rows.map(move |ended| scanned.outcome(ended)).boxed()
    }
}
