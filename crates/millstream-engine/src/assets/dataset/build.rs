//! `millstream dataset build`: every input at one version, the join on threads of its own, then the record and the pins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{ArrayRef, RecordBatch};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use millstream_features::view::ServiceDefinition;
use millstream_ml::{
    Cause,
    dataset::{Built, DatasetPlan, Manifest, Phase, Progress, Resources, Rows, Warning, build, file_blake3},
};
use millstream_project::{DatasetFeatures, DatasetSpec, LabelOrigin};
use millstream_sql::features::{LabelColumns, OnDemandExpressions};
use millstream_state::{NewArtifact, Pin, Receipt, Sameness};
use millstream_types::{AssetId, AssetVersion};
use millstream_usage::charged;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    DATASET,
    inputs::Inputs,
    kept::pinned_by,
    labels::{self, LabelFile, Labels},
    output::{DeltaVersion, Output},
    plan::{Surroundings, plan},
};
use crate::{
    Engine, EngineError, Publisher, ReadSet, Stale,
    assets::{
        apart::{self, Apart},
        service::versions as services,
    },
    blocking::Blocking,
    engine::World,
    event::{Figures, StepMeter},
    features::rows::all_events,
    pinning::Pinning,
    receipt::{self, of_each_row},
};

/// What to build, and where.
#[derive(Clone, Debug)]
pub struct DatasetRequest {
    pub name: String,
    /// The Parquet file; none takes the definition's, or else a new one under the project's own folder.
    pub output: Option<PathBuf>,
    /// Rows beyond this go to disk.
    pub memory_bytes: usize,
    /// The command as typed, for the record.
    pub command: String,
    /// Who asks, where somebody says so.
    pub principal: Option<String>,
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
    /// The Delta table that has the file as its newest version.
    pub delta: Option<DeltaVersion>,
    pub manifest: Manifest,
    pub warnings: Vec<Warning>,
    pub spilled_bytes: u64,
    /// The versions of what the dataset was built from.
    pub read: BTreeMap<AssetId, AssetVersion>,
    /// Those of what the dataset was built from that were stale when the build began.
    pub stale: Vec<(AssetId, Stale)>,
    /// The proof that each label row is in the dataset.
    pub receipt: Receipt,
    pub elapsed: Duration,
}

/// A build with everything opened and nothing read.
pub(super) struct Ready {
    pub spec: DatasetSpec,
    pub inputs: Inputs,
    pub labels: Labels,
    columns: LabelColumns,
    output: Output,
    pub plan: DatasetPlan,
}

/// What is handed to the thread that builds.
struct Work {
    labels: Labels,
    columns: LabelColumns,
    plan: DatasetPlan,
    pinning: Arc<Pinning>,
}

/// What a build is held by.
pub(super) struct Bounds {
    /// Ends the thread that builds.
    pub cancel: CancellationToken,
    /// The right to hold many rows, which the thread gives back when it ends, whoever still waits for it.
    pub alone: Option<OwnedSemaphorePermit>,
}

/// How long a build waits for others to be done with the dataset.
const PATIENCE: Duration = Duration::from_secs(600);

impl Engine {
    /// Builds the dataset on record, and pins what it was built from.
    pub fn build_dataset<'a>(
        &'a self,
        request: &'a DatasetRequest,
        events: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<DatasetReport, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let asset = super::id(&request.name);
            let Some(facts) = world.project.graph.get(&asset) else {
                return Err(unknown(&world.project, &request.name));
            };
            let assets = [asset];
            let apart = Apart {
                command: &request.command,
                principal: request.principal.as_deref(),
                assets: &assets,
                wait: PATIENCE,
            };
            let mut run = apart::begin(world, apart, &events, &cancel).await?;
            let cancel = run.cancel.clone();
            let build = async {
                let set = world.published().await?;
                let bounds = Bounds { cancel, alone: None };
                let meter = StepMeter::new(&facts.id, &events);
                let report = match build_dataset(world, request, set, meter, bounds).await {
                    Ok(report) => report,
                    Err(error) => {
                        world.look_for_damage(&error, &events).await;
                        return Err(error);
                    }
                };
                let result = super::result_of(facts, &report, world);
                Ok((report, result))
            };
            let done = run.step(&facts.id, build).await;
            run.end(done).await
        })
    }
}

/// Builds a leased dataset from the tables as `set` has them.
pub(super) fn build_dataset<'a>(
    world: &'a Arc<World>,
    request: &'a DatasetRequest,
    set: ReadSet,
    meter: StepMeter,
    bounds: Bounds,
) -> BoxFuture<'a, Result<DatasetReport, EngineError>> {
    Box::pin(async move {
        let started = Instant::now();
        // The build is right whatever can be said of its inputs.
        let stale = stale_inputs(world, &request.name).await.unwrap_or_else(|error| {
            tracing::warn!(code = error.code(), %error, "it is not known what a dataset is made of and is stale");
            Vec::new()
        });
        let Ready { spec, inputs, labels, columns, output, plan } = ready(world, request, set).await?;
        // Looked at before the file is read: a change meanwhile is seen by the next plan.
        let label_file = super::label_file(world, &spec);
        output.make_folder()?;
        let work = Work { labels, columns, plan, pinning: inputs.pinning.clone() };
        let project = &world.project;
        let tables = project.features.datasets.get(&spec.name).map(|analyzed| &analyzed.dependencies);
        let views = work.plan.service.views.clone();
        let (built, label_rows) = run(work, meter, bounds).await.map_err(|error| {
            let views = views.iter().map(|view| view.name.as_str());
            project.told_of_dataset(tables.map_or(&[], Vec::as_slice), views, error)
        })?;
        // Each label row is in the file, once.
        let receipt = Receipt { rows_out: built.manifest.data.rows, ..of_each_row(Some(label_rows)) };
        millstream_usage::wrote(built.manifest.data.bytes);
        if let Err(error) = receipt::check(&super::id(&spec.name), receipt) {
            remove_pair(&built)?;
            return Err(error);
        }
        // Recorded and pinned first: what a kill leaves out of the Delta table, the same build puts there.
        let Kept { version, is_unchanged, path } =
            keep(world, &spec, &inputs.pinning, &built, output.is_own()).await?;
        let delta = output.publish(&path, &built.manifest, world.options.clock.now()).await?;
        let mut read = inputs.to_record();
        read.extend(label_file);
        Ok(DatasetReport {
            name: spec.name,
            version,
            is_unchanged,
            manifest_path: Manifest::path_of(&path),
            path,
            delta,
            manifest: built.manifest,
            warnings: built.warnings,
            spilled_bytes: built.spilled_bytes,
            read,
            stale,
            receipt,
            elapsed: started.elapsed(),
        })
    })
}

/// What a dataset is made of and is stale now.
async fn stale_inputs(world: &World, dataset: &str) -> Result<Vec<(AssetId, Stale)>, EngineError> {
    let asset = super::id(dataset);
    let inputs: BTreeSet<AssetId> =
        world.project.graph.inputs(&asset).map(|input| input.id.clone()).collect();
    let stale = world.stale(Some(&inputs)).await?;
    Ok(inputs.into_iter().filter_map(|input| stale.get(&input).cloned().map(|why| (input, why))).collect())
}

fn unknown(project: &crate::Project, name: &str) -> EngineError {
    let known = project.spec.datasets.iter().map(|spec| spec.name.as_str());
    EngineError::unknown_feature("dataset", name, known)
}

/// Opens everything that the build reads, and decides where it writes.
pub(super) async fn ready(
    world: &Arc<World>,
    request: &DatasetRequest,
    set: ReadSet,
) -> Result<Ready, EngineError> {
    let project = &world.project;
    let unknown = || unknown(project, &request.name);
    let spec =
        project.spec.datasets.iter().find(|spec| spec.name == request.name).ok_or_else(unknown)?.clone();
    let analyzed = project.features.datasets.get(&spec.name).ok_or_else(unknown)?;
    let inputs = Inputs::hold(world, &spec.name, analyzed, set).await?;
    let session = inputs.pinning.session();
    let mut labels_blake3 = None;
    let labels = match (&spec.labels.origin, &analyzed.query) {
        (LabelOrigin::File(path), _) => {
            let file = project.spec.root.join(&path.value);
            // A file that is not there is told of below.
            labels_blake3 = file_blake3(&file).ok();
            let file = LabelFile::of(project, &spec.name, &path.value)?;
            file.labels(&labels::decided(&spec, &analyzed.service)).await?
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
    let output = Output::find(world, &spec, request).await?;
    let around = Surroundings {
        versions: inputs.pinning.versions(),
        output: output.place().to_owned(),
        named_by_hash: output.is_folder(),
        labels_blake3,
        now: world.options.clock.now(),
        resources: Resources {
            memory_bytes: request.memory_bytes,
            spill: world.made_spill_dir()?,
            threads: world.options.parallelism,
        },
    };
    let plan = plan(&spec, analyzed, &columns, around)?;
    Ok(Ready { spec, inputs, labels, columns, output, plan })
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

/// How far a build is.
fn figures(progress: Progress<'_>) -> Figures {
    let (rows, rows_total) = match progress.phase {
        // Encodings are no rows.
        Phase::Fit => (0, None),
        // Nothing follows, so that the total of the phase leads to that of the build.
        Phase::Write => (progress.rows, progress.total),
        Phase::Labels | Phase::Events | Phase::Join => (progress.rows, None),
    };
    Figures { doing: Some(doing(progress)), rows, rows_total, ..Figures::default() }
}

/// What a build is at, in words.
fn doing(progress: Progress<'_>) -> String {
    let view = progress.view.unwrap_or_default();
    match progress.phase {
        Phase::Labels => "reading labels".to_owned(),
        Phase::Events => format!("reading {view}"),
        Phase::Join => format!("joining {view}"),
        Phase::Fit => "fitting encodings".to_owned(),
        Phase::Write => "writing".to_owned(),
    }
}

/// Joins and writes on a thread of its own; the streams are driven by the runtime. Also says how many label rows there were.
async fn run(work: Work, meter: StepMeter, bounds: Bounds) -> Result<(Built, u64), EngineError> {
    let Work { labels, columns, plan, pinning } = work;
    let Bounds { cancel, alone } = bounds;
    let stop = cancel.clone();
    let runtime = tokio::runtime::Handle::current();
    let work = tokio::task::spawn_blocking(charged(move || {
        let (_alone, _within) = (alone, runtime.enter());
        let cause = |error: EngineError| -> Cause { error.into() };
        let mut label_count = 0_u64;
        let project = move |batch: RecordBatch| columns.project(&batch).map_err(EngineError::Query);
        let label_rows = labels.rows.map(|batch| {
            let batch = batch.inspect(|batch| label_count += batch.num_rows() as u64);
            batch.and_then(&project).map_err(cause)
        });
        let label_rows: Rows<'_> = Box::new(Blocking::new(Box::pin(until(label_rows, stop.clone()))));
        let views = plan.service.views.clone();
        let mut events = |view: usize| -> Result<Rows<'static>, Cause> {
            let definition = views.get(view).ok_or("a dataset asks for a view that it does not have")?;
            let rows = runtime.block_on(all_events(&pinning, definition)).map_err(cause)?.map_err(cause);
            Ok(Box::new(Blocking::new(Box::pin(until(rows, stop.clone())))))
        };
        let compiled = OnDemandExpressions::compile(&plan.service.on_demand);
        let compiled = compiled.map_err(EngineError::Query)?;
        let mut computed = 0;
        let mut on_demand = |rows: &RecordBatch| -> Result<Vec<ArrayRef>, Cause> {
            if stop.is_cancelled() {
                return Err(Cause::from("cancelled"));
            }
            let values = compiled.evaluate_from(rows, computed);
            computed += rows.num_rows() as u64;
            values.map_err(|error| cause(EngineError::Query(error)))
        };
        let report = |progress: Progress<'_>| {
            meter.show(figures(progress));
        };
        let built = build(&plan, label_rows, &mut events, &mut on_demand, &report);
        built
            .map(|built| (built, label_count))
            .map_err(|source| EngineError::Dataset { name: plan.name.clone(), source })
    }));
    let built = work.await.map_err(|_| EngineError::Worker { doing: "building a dataset" })?;
    if cancel.is_cancelled() && built.is_err() {
        return Err(EngineError::Cancelled);
    }
    built
}

/// The stream, which fails as soon as the build is cancelled.
fn until(
    rows: impl futures::Stream<Item = Result<RecordBatch, Cause>> + Send,
    cancel: CancellationToken,
) -> impl futures::Stream<Item = Result<RecordBatch, Cause>> + Send {
    rows.map(move |batch| if cancel.is_cancelled() { Err(Cause::from("cancelled")) } else { batch })
}

/// A version as it is recorded.
struct Kept {
    version: i64,
    is_unchanged: bool,
    path: PathBuf,
}

/// Records the version and pins its inputs. A build that gave what the one before gave is that one: where its file still
/// stands, the project's own folder needs no second one, and where it does not, the new file takes its place.
async fn keep(
    world: &World,
    spec: &DatasetSpec,
    pinning: &Pinning,
    built: &Built,
    is_own: bool,
) -> Result<Kept, EngineError> {
    let Built { path, manifest, .. } = built;
    let newest = world.state.artifact(DATASET, &spec.name, None).await?;
    let same = newest.filter(|known| {
        let has_data = |earlier: Manifest| earlier.data == manifest.data;
        known.hash == manifest.version && super::manifest(known).is_ok_and(has_data)
    });
    let place = same.as_ref().map(|same| world.dataset_file(same)).transpose()?;
    if let (Some(same), Some(place)) = (same, place) {
        let kept = |is_unchanged, path| Kept { version: same.version, is_unchanged, path };
        if place == *path {
            return Ok(kept(true, place));
        }
        let stands = File::open(&place).and_then(|mut file| manifest.data.difference(&mut file));
        match (matches!(stands, Ok(None)), is_own) {
            (true, false) => return Ok(kept(true, path.clone())),
            (true, true) => {
                remove_pair(built)?;
                return Ok(kept(true, place));
            }
            (false, true) if place.parent() == path.parent() => {
                move_pair(built, &place)?;
                return Ok(kept(false, place));
            }
            // The record gets the new place below.
            (false, _) => {}
        }
    }
    let now = world.options.clock.now();
    let definition = serde_json::to_string(manifest)
        .map_err(|source| EngineError::Definition { name: spec.name.clone(), source })?;
    let (place, service) = (world.recorded_path(path), service(world, spec).await?);
    let pinned_by = pinned_by(&spec.name, &manifest.version);
    let pins: Vec<Pin> = pinning
        .versions()
        .into_iter()
        .map(|(table, version)| Pin { table, version, pinned_by: pinned_by.clone(), at: now })
        .collect();
    let artifact = NewArtifact {
        kind: DATASET,
        name: &spec.name,
        hash: &manifest.version,
        definition: &definition,
        location: Some(&place),
        made_of: service.as_deref(),
        at: now,
        pins: &pins,
        // What was built before the newest is built again: its file may have been replaced.
        sameness: Sameness::NewestAlike,
    };
    let version = world.state.record_artifact(&artifact).await?;
    Ok(Kept { version, is_unchanged: false, path: path.clone() })
}

/// Removes what a build has written.
fn remove_pair(built: &Built) -> Result<(), EngineError> {
    let fault = |path: &Path, source| EngineError::File { verb: "remove", path: path.to_owned(), source };
    [&built.path, &built.manifest_path]
        .into_iter()
        .try_for_each(|path| fs::remove_file(path).map_err(|source| fault(path, source)))
}

/// Gives what a build has written the place of another file, which is replaced if it is there.
fn move_pair(built: &Built, place: &Path) -> Result<(), EngineError> {
    let fault = |path: &Path, source| EngineError::File { verb: "move", path: path.to_owned(), source };
    fs::rename(&built.path, place).map_err(|source| fault(&built.path, source))?;
    let manifest = Manifest::path_of(place);
    fs::rename(&built.manifest_path, manifest).map_err(|source| fault(&built.manifest_path, source))
}

/// The service's name with its present version.
async fn service(world: &World, spec: &DatasetSpec) -> Result<Option<String>, EngineError> {
    let DatasetFeatures::Service(name) = &spec.features else { return Ok(None) };
    let served = services::record_own(world).await?;
    let current = served.iter().find(|served| served.name == name.value && served.is_current);
    Ok(current.map(|served| format!("{}@{}", served.name, served.version)))
}
