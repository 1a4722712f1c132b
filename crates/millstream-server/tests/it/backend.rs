//! A shop in memory: two views, a service in two versions, one echo of every type, and ways to misbehave.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Date32Type, Field, FieldRef, Int64Type, Schema, TimeUnit},
};
use async_trait::async_trait;
use millstream_api::{
    datasets::DatasetBuildAnswer,
    failures::{StaleAsset, StaleMark},
    runs::RunEvent,
};
use millstream_server::{
    AnswerColumn, ApiError, DatasetBackend, DatasetInfo, DatasetReader, EntityInfo, EntitySchema, ErrorKind,
    FeatureBackend, FeatureInfo, HeldProject, IngestRequest, JobReporter, MaterializeAnswer, MaterializeRequest, PushAnswer,
    PushRequest, PushSchema, QueryAnswer, QueryBackend, QueryRequest, ReadAnswer, ReadRequest, ReadTarget,
    Readiness, RunRequest, ServiceInfo, Status, Statuses, ValueInfo, ViewInfo, ViewMaterialized, type_name,
};
use tokio::sync::Notify;

use crate::backend_work::{RUN, cause};

/// 2026-11-01T00:00:00Z.
pub(crate) const NOVEMBER: i64 = 1_793_491_200_000_000;

#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) reads: Mutex<Vec<ReadRequest>>,
    pub(crate) pushes: Mutex<Vec<PushRequest>>,
    pub(crate) materialized: Mutex<Vec<MaterializeRequest>>,
    pub(crate) ingested: Mutex<Vec<IngestRequest>>,
    /// What was to run, and who wanted it.
    pub(crate) runs: Mutex<Vec<(RunRequest, String)>>,
    /// Runs that ended because they were told to.
    pub(crate) cancelled: AtomicUsize,
    /// How many schemas were asked for.
    schemas: AtomicUsize,
    /// Whether a reload waits at the gate.
    pub(crate) reload_waits: AtomicBool,
    /// How often the project was loaded again, or refused.
    pub(crate) reloads: AtomicUsize,
    /// Features of the view `slow` and jobs wait for this.
    pub(crate) gate: Notify,
    pub(crate) waiting: AtomicUsize,
}

/// Every type that a request can carry, by the name of a column.
pub(crate) fn echo_fields() -> Vec<FieldRef> {
    let element = |data_type| Arc::new(Field::new("element", data_type, true));
    let place = vec![Field::new("city", DataType::Utf8, true), Field::new("zip", DataType::Int32, true)];
    let types = [
        ("bool", DataType::Boolean),
        ("int8", DataType::Int8),
        ("int32", DataType::Int32),
        ("int64", DataType::Int64),
        ("uint64", DataType::UInt64),
        ("float32", DataType::Float32),
        ("float64", DataType::Float64),
        ("decimal", DataType::Decimal128(12, 2)),
        ("string", DataType::Utf8),
        ("view_string", DataType::Utf8View),
        ("binary", DataType::Binary),
        ("date", DataType::Date32),
        ("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("naive", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("list", DataType::List(element(DataType::Int64))),
        ("vector", DataType::FixedSizeList(element(DataType::Float32), 3)),
        ("place", DataType::Struct(place.into())),
        ("category", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        ("time", DataType::Time64(TimeUnit::Microsecond)),
    ];
    types.map(|(name, data_type)| Arc::new(Field::new(name, data_type, true))).to_vec()
}

fn field(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, false))
}

fn customer() -> Vec<FieldRef> {
    vec![field("customer_id", DataType::Int64)]
}

fn route() -> Vec<FieldRef> {
    vec![field("origin", DataType::Utf8), field("day", DataType::Date32)]
}

fn cart() -> Vec<FieldRef> {
    vec![field("cart_value", DataType::Decimal128(12, 2))]
}

/// The mark of an asset whose last step failed.
fn stale(asset: &str) -> StaleAsset {
    let mark = StaleMark {
        since: Some("2026-11-01T00:00:00Z".to_owned()),
        cause: "failed",
        because: "the last step failed".to_owned(),
    };
    StaleAsset { asset: asset.to_owned(), mark }
}

const CHURN: [&str; 4] =
    ["orders.spend_30d", "orders.order_count_7d", "orders.last_category", "basket_vs_average"];

impl Shop {
    /// Wakes whoever waits at the gate, once `waiting` of them stand there.
    pub(crate) async fn open_gate(&self, waiting: usize) {
        self.wait_for(waiting).await;
        self.gate.notify_waiters();
    }

    pub(crate) async fn wait_for(&self, waiting: usize) {
        while self.waiting.load(Ordering::SeqCst) < waiting {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The project of a schema, by its number.
    fn held(&self) -> HeldProject {
        HeldProject::of(Arc::new(self.schemas.fetch_add(1, Ordering::SeqCst)))
    }

    /// A request comes with the project that its schema was given with.
    fn is_held(&self, project: &HeldProject) {
        let number = project.get::<usize>().expect("the project of a schema");
        assert!(*number < self.schemas.load(Ordering::SeqCst));
    }

    pub(crate) async fn stand_at_gate(&self) {
        let opened = self.gate.notified();
        tokio::pin!(opened);
        opened.as_mut().enable();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        opened.await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits until the gate opens; the error says that the job was told to end before.
    pub(crate) async fn stand_at_gate_unless_cancelled(&self, job: &JobReporter) -> Result<(), ApiError> {
        tokio::select! {
            () = self.stand_at_gate() => Ok(()),
            () = job.cancelled().cancelled() => {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                Err(ApiError::new(ErrorKind::Cancelled, "the work was told to end"))
            }
        }
    }

    fn features(target: &ReadTarget) -> Result<Vec<String>, ApiError> {
        match target {
            ReadTarget::Service { name, version } if name == "churn_v1" => match version {
                None | Some(2 | 3) => Ok(CHURN.map(str::to_owned).to_vec()),
                Some(version) => {
                    let message = format!("`churn_v1` has no version {version}");
                    Err(ApiError::new(ErrorKind::UnknownService, message).with_field("service"))
                }
            },
            ReadTarget::Service { name, .. } => {
                let message = format!("there is no service `{name}`");
                Err(ApiError::new(ErrorKind::UnknownService, message).with_field("service"))
            }
            ReadTarget::Features(names) => {
                let all = |name: &String| match name.as_str() {
                    "orders.*" => CHURN[..3].iter().map(|name| (*name).to_owned()).collect(),
                    _ => vec![name.clone()],
                };
                Ok(names.iter().flat_map(all).collect())
            }
        }
    }

    fn column(feature: &str, request: &ReadRequest) -> Result<AnswerColumn, ApiError> {
        let rows = request.rows;
        let (values, statuses, event_times) = match feature {
            "orders.spend_30d" => {
                per_customer(request, |id| Arc::new(id.iter().map(spend).collect::<Float64Array>()))
            }
            "orders.order_count_7d" => {
                per_customer(request, |id| Arc::new(id.iter().map(count).collect::<Int64Array>()))
            }
            "orders.last_category" | "returns.last_category" => {
                per_customer(request, |id| Arc::new(id.iter().map(category).collect::<StringArray>()))
            }
            "basket_vs_average" => {
                let values: Float64Array = (0..rows).map(|_| Some(1.5)).collect();
                (Arc::new(values) as ArrayRef, Statuses::Uniform(Status::Present), None)
            }
            "routes.delay" => {
                let days = request.entities["day"].as_primitive::<Date32Type>();
                let values: Int64Array = days.iter().map(|day| day.map(i64::from)).collect();
                (Arc::new(values) as ArrayRef, Statuses::Uniform(Status::Present), None)
            }
            "broken.short" => {
                let values: ArrayRef = Arc::new(Int64Array::from(vec![1; rows + 1]));
                (values, Statuses::Uniform(Status::Present), None)
            }
            name => match name.strip_prefix("echo.") {
                Some(column) => (request.entities[column].clone(), Statuses::Uniform(Status::Present), None),
                None => (new_null(rows), Statuses::Uniform(Status::Missing), None),
            },
        };
        Ok(AnswerColumn { name: feature.to_owned(), values, statuses, event_times })
    }
}

fn new_null(rows: usize) -> ArrayRef {
    arrow::array::new_null_array(&DataType::Float64, rows)
}

/// Customers 1 and 2 have values, 3 has a null, 4 has expired, 5 is NaN, others are not known.
fn spend(id: Option<i64>) -> Option<f64> {
    match id? {
        1 => Some(99.5),
        2 => Some(0.1),
        5 => Some(f64::NAN),
        _ => None,
    }
}

fn count(id: Option<i64>) -> Option<i64> {
    match id? {
        1 => Some(9_007_199_254_740_993),
        2 | 5 => Some(-3),
        4 => None,
        _ => Some(0),
    }
}

fn category(id: Option<i64>) -> Option<&'static str> {
    (id? <= 2).then_some("gärten \"&\" tools\n")
}

type Column = (ArrayRef, Statuses, Option<TimestampMicrosecondArray>);

fn per_customer(request: &ReadRequest, values: impl Fn(&Int64Array) -> ArrayRef) -> Column {
    let ids = request.entities["customer_id"].as_primitive::<Int64Type>();
    let values = values(ids);
    let status = |(row, id): (usize, Option<i64>)| match id {
        Some(4) => Status::Expired,
        Some(6) => Status::Degraded,
        Some(1..=5) if values.is_null(row) => Status::Null,
        Some(1..=5) => Status::Present,
        _ => Status::Missing,
    };
    let statuses = ids.iter().enumerate().map(status).collect();
    let times =
        ids.iter().map(|id| id.filter(|id| (1..=5).contains(id)).map(|id| NOVEMBER + id * 1_500)).collect();
    (values, Statuses::Each(statuses), Some(times))
}

fn infos(fields: &[FieldRef]) -> Vec<ValueInfo> {
    let info =
        |field: &FieldRef| ValueInfo { name: field.name().clone(), data_type: type_name(field.data_type()) };
    fields.iter().map(info).collect()
}

fn feature(name: &str, data_type: &str) -> FeatureInfo {
    FeatureInfo { name: name.to_owned(), data_type: data_type.to_owned(), description: None }
}

#[async_trait]
impl FeatureBackend for Shop {
    fn services(&self) -> Vec<ServiceInfo> {
        vec![ServiceInfo {
            name: "churn_v1".to_owned(),
            version: 3,
            versions: vec![2, 3],
            description: Some("Who will leave".to_owned()),
            owner: None,
            features: vec![feature("orders.spend_30d", "float64"), feature("basket_vs_average", "float64")],
            entities: vec![EntityInfo { name: "customer".to_owned(), keys: infos(&customer()) }],
            request: infos(&cart()),
        }]
    }

    fn views(&self) -> Vec<ViewInfo> {
        ["orders", "routes"]
            .map(|name| ViewInfo {
                name: name.to_owned(),
                description: None,
                owner: Some("shop@example.com".to_owned()),
                entity: EntityInfo { name: "customer".to_owned(), keys: infos(&customer()) },
                features: vec![feature("spend_30d", "float64")],
                push: Vec::new(),
                stale: None,
            })
            .to_vec()
    }

    fn entity_schema(&self, target: &ReadTarget) -> Result<EntitySchema, ApiError> {
        let features = Self::features(target)?;
        let (mut all_keys, mut request): (Vec<FieldRef>, Vec<FieldRef>) = (Vec::new(), Vec::new());
        let count = features.len();
        for feature in features {
            let keys = match feature.split_once('.') {
                Some(("orders" | "returns" | "slow" | "panic" | "down" | "broken", _)) => customer(),
                Some(("routes", _)) => route(),
                Some(("echo", column)) => {
                    let known = echo_fields().into_iter().find(|field| field.name() == column);
                    request.extend(known);
                    continue;
                }
                None if feature == "basket_vs_average" => {
                    request.extend(cart());
                    continue;
                }
                _ => {
                    let message = format!("there is no feature `{feature}`");
                    return Err(ApiError::new(ErrorKind::UnknownFeature, message).with_field("features"));
                }
            };
            for key in keys {
                if !all_keys.contains(&key) {
                    all_keys.push(key);
                }
            }
        }
        let (keys, request) = (all_keys.into(), request.into());
        Ok(EntitySchema { project: self.held(), keys, request, features: count })
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, ApiError> {
        self.is_held(&request.project);
        self.reads.lock().unwrap().push(request.clone());
        let features = Self::features(&request.target)?;
        for feature in &features {
            match feature.split('.').next().unwrap() {
                "slow" => self.stand_at_gate().await,
                "panic" => panic!("the store holds a secret"),
                "down" => {
                    let cause = std::io::Error::other("connection refused by 10.0.0.7");
                    return Err(ApiError::new(ErrorKind::Unavailable, "the online store does not answer")
                        .with_code("MS-1101")
                        .with_cause(cause));
                }
                _ => {}
            }
        }
        let columns =
            features.iter().map(|feature| Self::column(feature, &request)).collect::<Result<_, _>>()?;
        let service_version = match request.target {
            ReadTarget::Service { version, .. } => Some(version.unwrap_or(3)),
            ReadTarget::Features(_) => None,
        };
        let stale = features.iter().any(|name| name.starts_with("returns.")).then(|| stale("view:returns"));
        Ok(ReadAnswer { columns, service_version, stale: stale.into_iter().collect() })
    }

    fn push_schema(&self, name: &str) -> Result<PushSchema, ApiError> {
        if name != "orders" {
            let message = format!("there is no view and no push source `{name}`");
            return Err(ApiError::new(ErrorKind::UnknownView, message));
        }
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("customer_id", DataType::Int64, false),
            Field::new("ordered_at", instant, false),
            Field::new("amount", DataType::Decimal128(12, 2), false),
            Field::new("category", DataType::Utf8, true),
        ]);
        Ok(PushSchema {
            project: self.held(),
            schema: Arc::new(schema),
            features: vec!["spend_30d".to_owned()],
            time: "ordered_at".to_owned(),
        })
    }

    async fn push(&self, request: PushRequest) -> Result<PushAnswer, ApiError> {
        self.is_held(&request.project);
        let rows = request.rows.num_rows() as u64;
        self.pushes.lock().unwrap().push(request);
        Ok(PushAnswer { rows })
    }

    async fn materialize(
        &self,
        request: MaterializeRequest,
        job: JobReporter,
    ) -> Result<MaterializeAnswer, ApiError> {
        let waits = request.views.iter().any(|view| view == "routes");
        self.materialized.lock().unwrap().push(request.clone());
        job.event(&RunEvent::Waiting { because: "another is at work".to_owned() });
        job.event(&RunEvent::RunStarted { run: RUN.to_owned(), steps: Vec::new() });
        for view in &request.views {
            let asset = format!("view:{view}");
            job.event(&RunEvent::StepStarted { asset: asset.clone(), cause: cause() });
            if view != "routes" {
                let (doing, rows, rows_total, bytes, bytes_total) = (None, 5_000, Some(6_000), 0, None);
                job.event(&RunEvent::StepProgress { asset, doing, rows, rows_total, bytes, bytes_total });
            }
        }
        if waits {
            self.stand_at_gate_unless_cancelled(&job).await?;
        }
        let view = |view: &String| ViewMaterialized {
            view: view.clone(),
            rows: 7,
            left_out: 0,
            table_version: Some(4),
        };
        Ok(MaterializeAnswer { views: request.views.iter().map(view).collect(), failed: Vec::new() })
    }

    async fn ready(&self) -> Readiness {
        let ready = self.waiting.load(Ordering::SeqCst) == 0;
        let waiting_for = if ready { Vec::new() } else { vec!["the online store".to_owned()] };
        Readiness { ready, waiting_for, failed_reload: None, stale: Some(0) }
    }
}

#[async_trait]
impl QueryBackend for Shop {
    async fn query(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        if !request.sql.to_lowercase().starts_with("select") {
            return Err(
                ApiError::new(ErrorKind::BadQuery, "only statements that read can run").with_field("sql")
            );
        }
        if request.sql.contains("slow") {
            self.stand_at_gate().await;
        }
        let names = vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(names));
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("b")]));
        let batch = RecordBatch::try_new(schema.clone(), vec![ids, texts]).unwrap();
        let batch = batch.slice(0, request.limit.min(2));
        let count =
            if request.sql.contains("all_stale") { 300 } else { usize::from(request.sql.contains("stale")) };
        let stale = std::iter::repeat_with(|| stale("silver.orders")).take(count);
        Ok(QueryAnswer {
            schema,
            batches: vec![batch.clone(), batch],
            truncated: request.limit < 2,
            stale: stale.collect(),
        })
    }
}

#[async_trait]
impl DatasetBackend for Shop {
    async fn datasets(&self) -> Result<Vec<DatasetInfo>, ApiError> {
        Ok(vec![DatasetInfo {
            name: "churn".to_owned(),
            version: "b3f1".to_owned(),
            rows: 2,
            columns: infos(&customer()),
            built_at: "2026-11-01T00:00:00Z".to_owned(),
            stale: None,
        }])
    }

    async fn dataset(&self, name: &str, version: Option<&str>) -> Result<DatasetReader, ApiError> {
        if name != "churn" || version.is_some_and(|version| version != "b3f1") {
            let message = format!("there is no dataset `{name}` in this version");
            return Err(ApiError::new(ErrorKind::UnknownDataset, message));
        }
        let bytes = b"PAR1 and so on PAR1".as_slice();
        let length = Some(bytes.len() as u64);
        Ok(DatasetReader { bytes: Box::pin(bytes), length, version: "b3f1".to_owned(), stale: None })
    }

    fn defined(&self) -> Vec<String> {
        vec!["churn".to_owned(), "fraud".to_owned()]
    }

    async fn build(&self, name: &str, job: JobReporter) -> Result<DatasetBuildAnswer, ApiError> {
        job.event(&RunEvent::StepProgress {
            asset: format!("dataset:{name}"),
            doing: Some("reading labels".to_owned()),
            rows: 1,
            rows_total: Some(2),
            bytes: 0,
            bytes_total: None,
        });
        if name == "fraud" {
            self.stand_at_gate_unless_cancelled(&job).await?;
        }
        Ok(DatasetBuildAnswer {
            name: name.to_owned(),
            version: "2".to_owned(),
            unchanged: false,
            rows: 2,
            warnings: Vec::new(),
            stale: Vec::new(),
            elapsed_ms: 3,
        })
    }
}
