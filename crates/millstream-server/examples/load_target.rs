//! A server over features in memory, to be measured with an HTTP load generator: 50 features of 5 views, whose values are
//! computed from the key at no cost worth mentioning, so that what is measured is the server.
//!
//! `cargo run --release -p millstream-server --example load_target -- 127.0.0.1:6566`, then for example
//! `wrk -t1 -c8 -d15s --latency -s post.lua http://127.0.0.1:6566` with a script that posts
//! `{"service": "fs_0", "entities": {"entity": [1]}}` to `/v1/features/read`, or the same as `feature_service` to
//! `/get-online-features`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::{error::Error, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Int64Type, Schema},
};
use async_trait::async_trait;
use millstream_api::backfills::{BackfillBody, BackfillInfo, BackfillPlan, PartitionsDocument};
use millstream_api::pipelines::PipelinesAnswer;
use millstream_api::{
    catalog::{LineageDocument, StatusDocument, TableStatusDocument},
    datasets::DatasetBuildAnswer,
    failures::{ConnectionsAnswer, RepairsAnswer, ResumeAnswer, SlaAnswer},
    project::ProjectAnswer,
    runs::{RunDetail, RunInfo},
    schedule::{ScheduleAnswer, TriggerAnswer},
};
use millstream_server::{
    AnswerColumn, ApiError, Backends, BackfillBackend, BackfillEnd, CatalogBackend, DatasetBackend,
    DatasetInfo, DatasetReader, EntitySchema, ErrorKind, EventsSent, FeatureBackend, HeldProject,
    IngestAnswer, IngestBackend, IngestRequest, JobBackend, JobReporter, MaterializeAnswer,
    MaterializeRequest, PipelineBackend, ProjectBackend, PushAnswer, PushRequest, PushSchema, QueryAnswer,
    QueryBackend, QueryRequest, ReadAnswer, ReadRequest, ReadTarget, Readiness, RowPlace, RunBackend, RunEnd,
    RunRequest, ScheduleBackend, ServerOptions, ServiceInfo, SourceSignature, Status, Statuses, TableFollower,
    ViewInfo, serve,
};
use tokio_util::sync::CancellationToken;

const VIEWS: usize = 5;
const FEATURES: usize = 10;
/// 2026-11-01T00:00:00Z.
const NOVEMBER: i64 = 1_793_491_200_000_000;

struct Memory {
    schema: EntitySchema,
    names: Vec<String>,
}

fn nothing<T>() -> Result<T, ApiError> {
    Err(ApiError::new(ErrorKind::Unavailable, "only reads and pushes are measured"))
}

#[async_trait]
impl FeatureBackend for Memory {
    fn services(&self) -> Vec<ServiceInfo> {
        Vec::new()
    }

    fn views(&self) -> Vec<ViewInfo> {
        Vec::new()
    }

    fn entity_schema(&self, _: &ReadTarget) -> Result<EntitySchema, ApiError> {
        Ok(self.schema.clone())
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, ApiError> {
        let Some(keys) = request.entities.get("entity") else { return nothing() };
        let keys = keys.as_primitive::<Int64Type>();
        let columns = self.names.iter().enumerate().map(|(index, name)| {
            let step = i64::try_from(index).unwrap_or_default();
            let values: ArrayRef = if index % 2 == 0 {
                Arc::new(Int64Array::from_iter_values(keys.values().iter().map(|key| key * 31 + step)))
            } else {
                let value = |key: &i64| (key * 7 + step) as f64 / 3.0;
                Arc::new(Float64Array::from_iter_values(keys.values().iter().map(value)))
            };
            let times = keys.values().iter().map(|key| NOVEMBER + key * 1_000);
            AnswerColumn {
                name: name.clone(),
                values,
                statuses: Statuses::Uniform(Status::Present),
                event_times: Some(TimestampMicrosecondArray::from_iter_values(times)),
            }
        });
        Ok(ReadAnswer { columns: columns.collect(), service_version: Some(1), stale: Vec::new() })
    }

    fn push_schema(&self, _: &str) -> Result<PushSchema, ApiError> {
        let schema = Schema::new(self.schema.keys.clone());
        Ok(PushSchema {
            project: HeldProject::default(),
            schema: Arc::new(schema),
            features: Vec::new(),
            time: "entity".to_owned(),
        })
    }

    async fn push(&self, request: PushRequest) -> Result<PushAnswer, ApiError> {
        Ok(PushAnswer { rows: request.rows.num_rows() as u64 })
    }

    async fn materialize(
        &self,
        _: MaterializeRequest,
        _: JobReporter,
    ) -> Result<MaterializeAnswer, ApiError> {
        nothing()
    }

    async fn ready(&self) -> Readiness {
        Readiness { ready: true, waiting_for: Vec::new(), failed_reload: None, stale: Some(0) }
    }
}

#[async_trait]
impl QueryBackend for Memory {
    async fn query(&self, _: QueryRequest) -> Result<QueryAnswer, ApiError> {
        nothing()
    }
}

#[async_trait]
impl DatasetBackend for Memory {
    async fn datasets(&self) -> Result<Vec<DatasetInfo>, ApiError> {
        nothing()
    }

    async fn dataset(&self, _: &str, _: Option<&str>) -> Result<DatasetReader, ApiError> {
        nothing()
    }

    fn defined(&self) -> Vec<String> {
        Vec::new()
    }

    async fn build(&self, _: &str, _: JobReporter) -> Result<DatasetBuildAnswer, ApiError> {
        nothing()
    }
}

#[async_trait]
impl CatalogBackend for Memory {
    async fn assets(&self) -> Result<StatusDocument, ApiError> {
        nothing()
    }

    async fn asset(&self, _: &str) -> Result<TableStatusDocument, ApiError> {
        nothing()
    }

    async fn lineage(&self, _: &str, _: Option<&str>) -> Result<LineageDocument, ApiError> {
        nothing()
    }
}

#[async_trait]
impl RunBackend for Memory {
    async fn run(&self, _: RunRequest, _: JobReporter) -> Result<RunEnd, ApiError> {
        nothing()
    }

    async fn runs(&self, _: usize) -> Result<Vec<RunInfo>, ApiError> {
        nothing()
    }

    async fn run_detail(&self, _: &str) -> Result<RunDetail, ApiError> {
        nothing()
    }
}

#[async_trait]
impl ProjectBackend for Memory {
    async fn project(&self) -> Result<ProjectAnswer, ApiError> {
        nothing()
    }

    async fn reload(&self) -> Result<ProjectAnswer, ApiError> {
        nothing()
    }
}

#[async_trait]
impl IngestBackend for Memory {
    fn takes(&self, _: &str, _: EventsSent) -> Result<u64, ApiError> {
        nothing()
    }

    fn signature(&self, _: &str) -> Option<SourceSignature> {
        None
    }

    async fn ingest(&self, _: &str, _: IngestRequest) -> Result<IngestAnswer, ApiError> {
        nothing()
    }
}

#[async_trait]
impl ScheduleBackend for Memory {
    async fn schedule(&self, _: usize) -> Result<ScheduleAnswer, ApiError> {
        nothing()
    }

    async fn trigger(&self, _: &str) -> Result<TriggerAnswer, ApiError> {
        nothing()
    }

    fn webhook_secret(&self, _: &str) -> Option<millstream_server::WebhookSecret> {
        None
    }

    async fn connections(&self) -> Result<ConnectionsAnswer, ApiError> {
        nothing()
    }

    async fn resume(&self, _: &str) -> Result<ResumeAnswer, ApiError> {
        nothing()
    }

    async fn repairs(&self, _: usize) -> Result<RepairsAnswer, ApiError> {
        nothing()
    }

    async fn promises(&self, _: Option<&str>, _: u32) -> Result<SlaAnswer, ApiError> {
        nothing()
    }
}

#[async_trait]
impl PipelineBackend for Memory {
    async fn pipelines(&self) -> Result<PipelinesAnswer, ApiError> {
        nothing()
    }

    async fn follow(&self, _: &str, _: Option<RowPlace>) -> Result<Box<dyn TableFollower>, ApiError> {
        nothing()
    }
}

#[async_trait]
impl BackfillBackend for Memory {
    async fn preview_backfill(&self, _: BackfillBody) -> Result<BackfillPlan, ApiError> {
        nothing()
    }

    async fn backfill(&self, _: BackfillBody, _: JobReporter) -> Result<BackfillEnd, ApiError> {
        nothing()
    }

    async fn backfills(&self, _: usize) -> Result<Vec<BackfillInfo>, ApiError> {
        nothing()
    }

    async fn cancel_backfill(&self, _: &str) -> Result<BackfillInfo, ApiError> {
        nothing()
    }

    async fn partitions(&self, _: &str) -> Result<PartitionsDocument, ApiError> {
        nothing()
    }
}

impl JobBackend for Memory {
    fn now(&self) -> i64 {
        NOVEMBER
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:6566".to_owned()).parse()?;
    let names = (0..VIEWS * FEATURES).map(|index| format!("fv_{}.f_{index}", index / FEATURES));
    let key = Arc::new(Field::new("entity", DataType::Int64, false));
    let schema =
        EntitySchema { keys: vec![key].into(), features: VIEWS * FEATURES, ..EntitySchema::default() };
    let backend = Arc::new(Memory { schema, names: names.collect() });
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let options = ServerOptions { address, ..ServerOptions::default() };
    serve(options, Backends::of(backend), shutdown, |address| println!("listening on {address}")).await?;
    Ok(())
}
