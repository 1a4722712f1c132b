//! The shop's runs and catalog: a run does what the first word of its selection says.

use std::sync::{Arc, atomic::Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use async_trait::async_trait;
use millstream_api::{
    catalog::{AssetState, LineageDocument, LineageStep, StatusDocument, TableStatusDocument},
    failures::{
        ConnectionState, ConnectionsAnswer, PromiseAnswer, PromiseDay, RepairInfo, RepairsAnswer,
        ResumeAnswer, SlaAnswer,
    },
    pipelines::{PipelineInfo, PipelinesAnswer},
    project::{FailedReload, ProjectAnswer},
    runs::{
        Cause, LastRun, LastStep, PlannedStep, RunDetail, RunEvent, RunInfo, RunStep, RunSummary, StepResult,
    },
    schedule::{NextTick, ScheduleAnswer, ScheduleDecision, TriggerAnswer},
};
use millstream_server::{
    ApiError, CatalogBackend, CommittedRows, ErrorKind, JobBackend, JobReporter, PipelineBackend,
    ProjectBackend, RowPlace, RunBackend, RunEnd, RunRequest, ScheduleBackend, TableFollower, WebhookSecret,
};

use crate::backend::{NOVEMBER, Shop};

/// The id of every run.
pub(crate) const RUN: &str = "0199-a";

impl JobBackend for Shop {
    fn now(&self) -> i64 {
        NOVEMBER
    }
}

/// A project that cannot be loaded again from the third time on.
#[async_trait]
impl ProjectBackend for Shop {
    async fn project(&self) -> Result<ProjectAnswer, ApiError> {
        let reloads = self.reloads.load(Ordering::SeqCst);
        let failed = (reloads > 2).then(|| FailedReload {
            at: "2026-11-01T00:00:00Z".to_owned(),
            code: "MS-1235".to_owned(),
            message: BROKEN.to_owned(),
            hint: None,
        });
        Ok(ProjectAnswer {
            name: "shop".to_owned(),
            environment: "dev".to_owned(),
            loaded_at: format!("2026-11-01T00:00:0{}Z", reloads.min(2)),
            is_whole: true,
            assets: 7,
            failed_reload: failed,
        })
    }

    async fn reload(&self) -> Result<ProjectAnswer, ApiError> {
        if self.reload_waits.load(Ordering::SeqCst) {
            self.stand_at_gate().await;
        }
        match self.reloads.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => self.project().await,
            _ => Err(ApiError::new(ErrorKind::NotReloaded, BROKEN)),
        }
    }
}

/// What is wrong with the project.
const BROKEN: &str = "the project has 1 error: silver/orders.sql:1:8: no column named `amuont`";

pub(crate) fn cause() -> Cause {
    Cause { reason: "new_input", because_of: vec!["orders.csv".to_owned()], last_attempt: None }
}

fn step(asset: &str, outcome: &'static str) -> StepResult {
    StepResult {
        asset: asset.to_owned(),
        cause: cause(),
        outcome,
        code: None,
        message: None,
        hint: None,
        rows_written: 3,
        rows_deleted: 0,
        rows_rejected: 0,
        version: Some(4),
        checks: Vec::new(),
        elapsed_ms: 5,
    }
}

fn summary(succeeded: bool, cancelled: bool) -> RunSummary {
    RunSummary {
        run: RUN.to_owned(),
        succeeded,
        cancelled,
        steps: 1,
        up_to_date: 2,
        rows_written: 3,
        rows_rejected: 0,
        elapsed_ms: 5,
    }
}

#[async_trait]
impl RunBackend for Shop {
    async fn run(&self, request: RunRequest, job: JobReporter) -> Result<RunEnd, ApiError> {
        self.runs.lock().unwrap().push((request.clone(), job.principal().to_owned()));
        let asset = request.selection.first().map_or("silver.orders", String::as_str);
        match asset {
            "held" => {
                let message = "`silver.held` is being worked on by process 7 on `farm` (`run silver.held`)";
                return Err(ApiError::new(ErrorKind::AlreadyRunning, message)
                    .with_code("MS-0608")
                    .with_hint("ask again when it has ended"));
            }
            "nowhere" => {
                return Err(
                    ApiError::new(ErrorKind::Invalid, "no asset matches `nowhere`").with_code("MS-0501")
                );
            }
            "panics" => panic!("the run holds a secret"),
            _ => {}
        }
        let planned = PlannedStep { asset: asset.to_owned(), cause: cause(), upkeep: None };
        job.event(&RunEvent::RunStarted { run: RUN.to_owned(), steps: vec![planned] });
        job.event(&RunEvent::StepStarted { asset: asset.to_owned(), cause: cause() });
        for rows in [1, 2] {
            let (asset, bytes) = (asset.to_owned(), rows * 10);
            job.event(&RunEvent::StepProgress {
                asset,
                doing: None,
                rows,
                rows_total: None,
                bytes,
                bytes_total: Some(20),
            });
        }
        if asset == "chatty" {
            for note in 0..3_000 {
                job.event(&RunEvent::StepNote { asset: asset.to_owned(), note: note.to_string() });
            }
        }
        if asset == "slow" && self.stand_at_gate_unless_cancelled(&job).await.is_err() {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
            job.event(&RunEvent::StepFinished(step(asset, "cancelled")));
            job.event(&RunEvent::StepFinished(step("behind", "cancelled")));
            let cancelled = summary(false, true);
            job.event(&RunEvent::RunFinished(cancelled.clone()));
            let failure = ApiError::new(ErrorKind::Cancelled, "the run was told to end");
            return Ok(RunEnd { summary: cancelled, failure: Some(failure) });
        }
        let fails = asset == "broken";
        job.event(&RunEvent::StepFinished(step(asset, if fails { "failed" } else { "built" })));
        let failure =
            fails.then(|| ApiError::new(ErrorKind::RunFailed, "`broken` failed: disk full (MS-0401)"));
        let summary = summary(!fails, false);
        job.event(&RunEvent::RunFinished(summary.clone()));
        Ok(RunEnd { summary, failure })
    }

    async fn runs(&self, limit: usize) -> Result<Vec<RunInfo>, ApiError> {
        let known = (0..3).map(|number| info(&format!("0199-{number}")));
        Ok(known.take(limit).collect())
    }

    async fn run_detail(&self, run: &str) -> Result<RunDetail, ApiError> {
        if run != RUN {
            return Err(ApiError::new(ErrorKind::UnknownRun, format!("there is no run `{run}`")));
        }
        let step = LastStep {
            run: RUN.to_owned(),
            command: Some("run".to_owned()),
            reason: "new_input".to_owned(),
            reason_text: "new input".to_owned(),
            outcome: "built",
            code: None,
            message: None,
            hint: None,
            rows_written: 3,
            rows_deleted: 0,
            rows_rejected: 0,
            version: Some(4),
            finished: "2026-11-01T00:00:01Z".to_owned(),
            elapsed_ms: 5,
            figures: None,
        };
        let step = RunStep { asset: "silver.orders".to_owned(), step };
        let set = Some([("silver.orders".to_owned(), 4)].into());
        Ok(RunDetail {
            run: info(run),
            steps: vec![step],
            critical_path: Vec::new(),
            cost: None,
            set,
            log: Vec::new(),
        })
    }
}

fn info(run: &str) -> RunInfo {
    RunInfo {
        run: LastRun {
            run: run.to_owned(),
            command: "run".to_owned(),
            asked: None,
            started: "2026-11-01T00:00:00Z".to_owned(),
            finished: None,
            outcome: None,
        },
        principal: Some("ci".to_owned()),
    }
}

#[async_trait]
impl CatalogBackend for Shop {
    async fn assets(&self) -> Result<StatusDocument, ApiError> {
        Ok(StatusDocument {
            last_run: None,
            housekeeping: None,
            failed_reload: None,
            assets: vec![asset()],
            held: Vec::new(),
            set_aside: Vec::new(),
            repairs: Vec::new(),
            pipelines: Vec::new(),
            intakes: Vec::new(),
            breakers: Vec::new(),
        })
    }

    async fn asset(&self, name: &str) -> Result<TableStatusDocument, ApiError> {
        known(name)?;
        Ok(TableStatusDocument {
            state: asset(),
            last_step: None,
            schema_versions: Vec::new(),
            versions: Vec::new(),
        })
    }

    async fn lineage(&self, name: &str, column: Option<&str>) -> Result<LineageDocument, ApiError> {
        known(name)?;
        if column.is_some_and(|column| column != "amount") {
            let error = ApiError::new(ErrorKind::UnknownColumn, "`silver.orders` has no such column");
            return Err(error.with_field("column"));
        }
        let upstream = LineageStep {
            from: "bronze.orders.amount".to_owned(),
            to_table: "silver.orders".to_owned(),
            to_column: Some("amount".to_owned()),
            direct: true,
            used: "identity",
            distance: 1,
        };
        Ok(LineageDocument {
            columns: vec!["silver.orders.amount".to_owned()],
            sources: vec!["bronze.orders".to_owned()],
            upstream: vec![upstream],
            downstream: Vec::new(),
            read_by: vec!["view:spend".to_owned()],
        })
    }
}

fn known(name: &str) -> Result<(), ApiError> {
    match name {
        "silver.orders" => Ok(()),
        name => Err(ApiError::new(ErrorKind::UnknownAsset, format!("no table named `{name}`"))),
    }
}

fn asset() -> AssetState {
    AssetState {
        asset: "silver.orders".to_owned(),
        kind: "table",
        version: Some(4),
        published: Some(3),
        rows: Some(3),
        built_at: None,
        state: Some("built"),
        message: None,
        hint: None,
        stale: None,
        checks: Vec::new(),
        written_by: None,
    }
}

/// One pipeline, and a table that gives two rows and then nothing that is kept.
#[async_trait]
impl PipelineBackend for Shop {
    async fn pipelines(&self) -> Result<PipelinesAnswer, ApiError> {
        let totals = PipelineInfo {
            asset: "silver.totals".to_owned(),
            state: "working".to_owned(),
            error: None,
            lag_rows: 3,
            lag_ms: 20,
            rows_in: 1_000,
            rows_out: 40,
            rows_per_second: 12.5,
            watermark: Some("2026-11-01T00:00:00Z".to_owned()),
            rows_late: 1,
            rows_rejected: 0,
            commits: 7,
            version: Some(7),
            commit_p50_ms: 4.0,
            commit_p99_ms: 9.5,
            state_bytes: 2_048,
            state_entries: 12,
            failures: 0,
        };
        Ok(PipelinesAnswer { pipelines: vec![totals] })
    }

    async fn follow(&self, table: &str, after: Option<RowPlace>) -> Result<Box<dyn TableFollower>, ApiError> {
        match table {
            "silver.totals" => Ok(Box::new(Totals { next: after.map_or(0, |after| after.row + 1) })),
            _ => Err(ApiError::new(ErrorKind::UnknownAsset, format!("no table is named `{table}`"))),
        }
    }
}

struct Totals {
    next: u64,
}

#[async_trait]
impl TableFollower for Totals {
    async fn next(&mut self) -> Result<CommittedRows, ApiError> {
        let row = self.next;
        self.next += 1;
        if row > 1 {
            return Err(ApiError::new(ErrorKind::DatasetGone, "the versions since then are kept no longer"));
        }
        let total: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(row).unwrap() * 10]));
        let rows = RecordBatch::try_from_iter([("total", total)]).unwrap();
        Ok(CommittedRows { first: RowPlace { version: 7, row }, rows })
    }
}

/// A project in which one source waits for a webhook. A server that is asked for `standby` does not run it.
#[async_trait]
impl ScheduleBackend for Shop {
    async fn schedule(&self, limit: usize) -> Result<ScheduleAnswer, ApiError> {
        let next = |minute: u8| NextTick {
            at: format!("2026-11-01T00:{minute:02}:00Z"),
            asset: "bronze.orders".to_owned(),
            trigger: "every 15m".to_owned(),
        };
        let decision = |asset: &str, decision, because: &str| ScheduleDecision {
            at: "2026-11-01T00:00:00Z".to_owned(),
            asset: asset.to_owned(),
            decision,
            because: because.to_owned(),
        };
        let decisions = [
            decision("silver.orders", "held", "`bronze.orders` goes first"),
            decision("bronze.orders", "started", "every 15m"),
        ];
        Ok(ScheduleAnswer {
            workers: Vec::new(),
            offered: Vec::new(),
            is_active: true,
            next: [15, 30].map(next).into_iter().take(limit).collect(),
            decisions: decisions.into_iter().take(limit).collect(),
        })
    }

    async fn trigger(&self, name: &str) -> Result<TriggerAnswer, ApiError> {
        match name {
            "orders_arrived" => {
                Ok(TriggerAnswer { trigger: name.to_owned(), due: vec!["bronze.orders".to_owned()] })
            }
            "signed" => Ok(TriggerAnswer { trigger: name.to_owned(), due: vec!["bronze.orders".to_owned()] }),
            "standby" => Err(ApiError::new(ErrorKind::Unavailable, "another server runs the project")),
            _ => Err(ApiError::new(ErrorKind::UnknownTrigger, format!("no asset waits for `{name}`"))),
        }
    }

    fn webhook_secret(&self, name: &str) -> Option<WebhookSecret> {
        (name == "signed").then(|| WebhookSecret::new("It's a Secret to Everybody"))
    }

    async fn connections(&self) -> Result<ConnectionsAnswer, ApiError> {
        let shop = ConnectionState {
            name: "shop".to_owned(),
            circuit: "open",
            since: Some("2026-11-01T00:00:00Z".to_owned()),
            until: Some("2026-11-01T00:00:30Z".to_owned()),
            failures: 0,
            retries: None,
            retries_max: None,
        };
        Ok(ConnectionsAnswer { connections: vec![shop], retries: 3, retries_max: 600 })
    }

    async fn resume(&self, asset: &str) -> Result<ResumeAnswer, ApiError> {
        match asset {
            "bronze.orders" => Ok(ResumeAnswer { asset: asset.to_owned() }),
            _ => Err(ApiError::new(ErrorKind::UnknownAsset, format!("no asset is named `{asset}`"))),
        }
    }

    async fn repairs(&self, limit: usize) -> Result<RepairsAnswer, ApiError> {
        let repair = RepairInfo {
            asset: "silver.orders".to_owned(),
            code: "MS-0507".to_owned(),
            cause: "a data file is damaged".to_owned(),
            action: "rebuild",
            found: "2026-11-01T00:00:00Z".to_owned(),
            state: "repaired",
            ended: Some("2026-11-01T00:00:30Z".to_owned()),
            message: None,
        };
        Ok(RepairsAnswer { repairs: vec![repair; limit.min(1)] })
    }

    async fn promises(&self, asset: Option<&str>, days: u32) -> Result<SlaAnswer, ApiError> {
        let day = PromiseDay { day: "2026-11-01".to_owned(), state: "met" };
        let promise = PromiseAnswer {
            asset: asset.unwrap_or("bronze.orders").to_owned(),
            promise: "at_most",
            says: "at most 15m old".to_owned(),
            state: "kept",
            broken_since: None,
            days: vec![day; days.min(2) as usize],
            breaches: Vec::new(),
        };
        Ok(SlaAnswer { promises: vec![promise] })
    }
}
