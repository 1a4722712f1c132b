//! `millstream dataset build`: every input at one version, the join on threads of its own, then the record and the pins.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{ArrayRef, RecordBatch};
use futures::{StreamExt, TryStreamExt};
use millstream_features::view::ServiceDefinition;
use millstream_ml::{
    Cause,
    dataset::{Built, DatasetPlan, Manifest, Phase, Resources, Rows, Warning, build},
};
use millstream_project::{DatasetFeatures, DatasetSpec, LabelOrigin, OutputFormat};
use millstream_sql::features::{LabelColumns, OnDemandExpressions};
use millstream_state::{DatasetVersion, Pin};
use tokio_util::sync::CancellationToken;

use super::{
    labels::{self, Labels},
    plan::{Surroundings, plan},
};
use crate::{
    Engine, EngineError,
    blocking::Blocking,
    engine::World,
    features::{rows::Events, services},
    pinning::Pinning,
};

/// What to build, and where.
#[derive(Clone, Debug)]
pub struct DatasetRequest {
    pub name: String,
    /// The Parquet file; none takes the definition's, or else a new one under the project's own folder.
    pub output: Option<PathBuf>,
    /// Rows beyond this go to disk.
    pub memory_bytes: usize,
    /// The command as typed, for whoever waits for the lock.
    pub command: String,
}

/// Where a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetProgress {
    pub phase: Phase,
    pub view: Option<String>,
    pub rows: u64,
    pub total: Option<u64>,
}

/// What was built.
#[derive(Clone, Debug)]
pub struct DatasetReport {
    pub name: String,
    pub version: i64,
    /// Whether an earlier build of the same inputs and definitions stands.
    pub is_unchanged: bool,
    pub path: PathBuf,
    pub manifest_path: PathBuf,
    pub manifest: Manifest,
    pub warnings: Vec<Warning>,
    pub spilled_bytes: u64,
    pub elapsed: Duration,
}

type Told = Arc<dyn Fn(DatasetProgress) + Send + Sync>;

/// A build with everything opened and nothing read.
pub(super) struct Ready {
    pub spec: DatasetSpec,
    pub pinning: Arc<Pinning>,
    pub labels: Labels,
    columns: LabelColumns,
    pub plan: DatasetPlan,
}

impl Engine {
    /// Builds the dataset, records it and pins what it was built from.
    pub async fn build_dataset(
        &self,
        request: &DatasetRequest,
        told: Told,
        cancel: CancellationToken,
    ) -> Result<DatasetReport, EngineError> {
        let started = Instant::now();
        let world = self.world();
        let ready = self.ready(request).await?;
        let (name, spec) = (ready.spec.name.clone(), ready.spec.clone());
        let (pinning, output) = (ready.pinning.clone(), ready.plan.output.clone());
        let built = run(world, ready, told, cancel).await?;
        let kept = keep(world, &spec, request, &pinning, built, &output)?;
        Ok(DatasetReport { elapsed: started.elapsed(), name, ..kept })
    }

    pub(super) async fn ready(&self, request: &DatasetRequest) -> Result<Ready, EngineError> {
        let world = self.world();
        let project = &world.project;
        let datasets = &project.spec.datasets;
        let unknown = || {
            let known = datasets.iter().map(|spec| spec.name.as_str());
            EngineError::unknown_feature("dataset", &request.name, known)
        };
        let spec = datasets.iter().find(|spec| spec.name == request.name).ok_or_else(unknown)?.clone();
        let analyzed = project.features.datasets.get(&spec.name).ok_or_else(unknown)?;
        let pinning = Arc::new(Pinning::new(world));
        pinning.pin(&analyzed.dependencies).await?;
        for view in &analyzed.service.views {
            pinning.pin_if_there(&crate::features::rows::pushed_table(&view.name)?).await?;
        }
        let session = pinning.session();
        let labels = match (&spec.labels.origin, &analyzed.query) {
            (LabelOrigin::File(path), _) => {
                labels::of_file(&path.value, &project.spec.root, &labels::decided(&spec, &analyzed.service))?
            }
            // As it is written: a query around it would lose its order.
            (LabelOrigin::Sql(sql), _) => labels::of_query(&session, &sql.value).await?,
            (LabelOrigin::Table(_), Some(query)) => labels::of_query(&session, query).await?,
            (LabelOrigin::Table(table), None) => {
                labels::of_query(&session, &format!("SELECT * FROM {}", table.value)).await?
            }
        };
        let columns = match &analyzed.labels {
            Some(columns) => columns.clone(),
            None => find_columns(&spec, project, &analyzed.service, &labels)?,
        };
        let around = Surroundings {
            versions: pinning.versions(),
            output: output(world, &spec, request)?,
            now: world.options.clock.now(),
            resources: Resources {
                memory_bytes: request.memory_bytes,
                spill: spill_folder(&world.state_dir)?,
                threads: world.options.parallelism,
            },
        };
        let plan = plan(&spec, analyzed, &columns, around)?;
        Ok(Ready { spec, pinning, labels, columns, plan })
    }
}

/// The columns of a file are known once it is open.
fn find_columns(
    spec: &DatasetSpec,
    project: &crate::Project,
    service: &ServiceDefinition,
    labels: &Labels,
) -> Result<LabelColumns, EngineError> {
    LabelColumns::find(spec, &project.spec.features, service, &labels.schema).map_err(|found| {
        let LabelOrigin::File(path) = &spec.labels.origin else {
            return EngineError::Worker { doing: "looking at labels" };
        };
        let messages: Vec<String> = found.iter().map(|diagnostic| diagnostic.message.clone()).collect();
        let hint = found.iter().find_map(|diagnostic| diagnostic.hint.clone());
        EngineError::LabelFile {
            path: path.value.clone(),
            message: messages.join("; "),
            hint: hint.unwrap_or_else(|| "the dataset's `labels` say which columns are used".to_owned()),
        }
    })
}

fn spill_folder(state_dir: &Path) -> Result<PathBuf, EngineError> {
    let folder = state_dir.join("spill");
    fs::create_dir_all(&folder).map_err(|source| EngineError::File {
        verb: "create",
        path: folder.clone(),
        source,
    })?;
    Ok(folder)
}

/// The file to write: what the call says, what the definition says, or the next one in the project's own folder.
fn output(world: &World, spec: &DatasetSpec, request: &DatasetRequest) -> Result<PathBuf, EngineError> {
    if request.output.is_none()
        && spec.output.as_ref().is_some_and(|output| output.format == OutputFormat::Delta)
    {
        return Err(EngineError::Request {
            message: format!(
                "`{}` asks for a Delta table, and datasets are written as Parquet only",
                spec.name
            ),
            hint: Some("write `format: parquet`, or name a file with `--output`".to_owned()),
        });
    }
    let path = match (&request.output, &spec.output) {
        (Some(path), _) => path.clone(),
        (None, Some(output)) => world.project.spec.root.join(&output.path.value),
        (None, None) => {
            let known = world.state.dataset_versions()?;
            let of_name = known.iter().filter(|known| known.dataset == spec.name);
            let next = of_name.map(|known| known.version).max().unwrap_or(0) + 1;
            world.state_dir.join("datasets").join(&spec.name).join(format!("v{next}.parquet"))
        }
    };
    let path = std::path::absolute(&path).map_err(|source| EngineError::File {
        verb: "find",
        path: path.clone(),
        source,
    })?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| EngineError::File {
            verb: "create",
            path: folder.to_owned(),
            source,
        })?;
    }
    Ok(path)
}

/// Joins and writes on a thread of its own; the streams are driven by the runtime.
async fn run(
    world: &Arc<World>,
    ready: Ready,
    told: Told,
    cancel: CancellationToken,
) -> Result<Built, EngineError> {
    let Ready { labels, columns, plan, pinning, .. } = ready;
    let name = plan.name.clone();
    let (world, stop) = (world.clone(), cancel.clone());
    let runtime = tokio::runtime::Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let _within = runtime.enter();
        let cause = |error: EngineError| -> Cause { error.into() };
        let project = move |batch: RecordBatch| columns.project(&batch).map_err(EngineError::Query);
        let label_rows = labels.rows.map(move |batch| batch.and_then(&project).map_err(cause));
        let label_rows: Rows<'_> = Box::new(Blocking::new(Box::pin(until(label_rows, stop.clone()))));
        let views = plan.service.views.clone();
        let mut events = |view: usize| -> Result<Rows<'static>, Cause> {
            let definition = views.get(view).ok_or("a dataset asks for a view that it does not have")?;
            let opened = runtime.block_on(Events::open(&world, &pinning, definition)).map_err(cause)?;
            let rows = opened.rows.map_err(cause);
            Ok(Box::new(Blocking::new(Box::pin(until(rows, stop.clone())))))
        };
        let compiled = OnDemandExpressions::compile(&plan.service.on_demand);
        let compiled = compiled.map_err(EngineError::Query)?;
        let mut on_demand = |rows: &RecordBatch| -> Result<Vec<ArrayRef>, Cause> {
            compiled.evaluate(rows).map_err(|error| cause(EngineError::Query(error)))
        };
        let report = |progress: millstream_ml::dataset::Progress<'_>| {
            told(DatasetProgress {
                phase: progress.phase,
                view: progress.view.map(str::to_owned),
                rows: progress.rows,
                total: progress.total,
            });
        };
        build(&plan, label_rows, &mut events, &mut on_demand, &report)
            .map_err(|source| EngineError::Dataset { name: plan.name.clone(), source })
    });
    let built = work.await.map_err(|_| EngineError::Worker { doing: "building a dataset" })?;
    if cancel.is_cancelled() && built.is_err() {
        return Err(EngineError::Cancelled);
    }
    tracing::debug!(dataset = name, "built");
    built
}

/// The stream, which fails as soon as the build is cancelled.
fn until(
    rows: impl futures::Stream<Item = Result<RecordBatch, Cause>> + Send,
    cancel: CancellationToken,
) -> impl futures::Stream<Item = Result<RecordBatch, Cause>> + Send {
    rows.map(move |batch| if cancel.is_cancelled() { Err(Cause::from("cancelled")) } else { batch })
}

/// Records the version and pins its inputs. A build that gave what an earlier one gave is that one.
fn keep(
    world: &World,
    spec: &DatasetSpec,
    request: &DatasetRequest,
    pinning: &Pinning,
    built: Built,
    output: &Path,
) -> Result<DatasetReport, EngineError> {
    let Built { manifest, manifest_path, warnings, spilled_bytes } = built;
    let report = |version, is_unchanged, path: PathBuf, manifest_path: PathBuf| DatasetReport {
        name: String::new(),
        version,
        is_unchanged,
        path,
        manifest_path,
        manifest: manifest.clone(),
        warnings,
        spilled_bytes,
        elapsed: Duration::ZERO,
    };
    let text = serde_json::to_string(&manifest)
        .map_err(|source| EngineError::Definition { name: spec.name.clone(), source })?;
    let known = world.state.dataset_versions()?;
    let same = known.iter().rev().find(|known| {
        known.dataset == spec.name && known.id == manifest.version && Path::new(&known.path).is_file()
    });
    let is_own_folder = request.output.is_none() && spec.output.is_none();
    if let Some(same) = same.filter(|same| is_own_folder && Path::new(&same.path) != output) {
        for path in [output, manifest_path.as_path()] {
            fs::remove_file(path).map_err(|source| EngineError::File {
                verb: "remove",
                path: path.to_owned(),
                source,
            })?;
        }
        let path = PathBuf::from(&same.path);
        return Ok(report(same.version, true, path.clone(), Manifest::path_of(&path)));
    }
    let now = world.options.clock.now();
    let version = DatasetVersion {
        dataset: spec.name.clone(),
        version: 0,
        id: manifest.version.clone(),
        path: output.to_string_lossy().into_owned(),
        manifest: text,
        service: service(world, spec)?,
        at: now,
    };
    let pins: BTreeMap<_, _> = pinning.versions();
    let pinned_by = format!("dataset {} {}", spec.name, manifest.version.get(..12).unwrap_or_default());
    let pins: Vec<Pin> = pins
        .into_iter()
        .map(|(table, version)| Pin { table, version, pinned_by: pinned_by.clone(), at: now })
        .collect();
    let version = world.state.record_dataset(&version, &pins)?;
    Ok(report(version, false, output.to_owned(), manifest_path))
}

/// The service's name with its present version.
fn service(world: &World, spec: &DatasetSpec) -> Result<Option<String>, EngineError> {
    let DatasetFeatures::Service(name) = &spec.features else { return Ok(None) };
    let served = services::served(world)?;
    let current = served.iter().find(|served| served.name == name.value && served.is_current);
    Ok(current.map(|served| format!("{}@{}", served.name, served.version)))
}
