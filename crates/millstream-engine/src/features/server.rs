//! Features at request time: services compiled once, one look-up in the store for all entities and views of a read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray},
    compute::nullif,
    datatypes::{Field, FieldRef, Fields},
};
use futures::future::BoxFuture;
use indexmap::IndexMap;
use millstream_features::view::{
    self, EntityKey, FeatureSource, OnlineView, ServiceDefinition, Status, ViewDefinition,
};
use millstream_online::RecordKey;
use millstream_sql::features::OnDemandExpressions;

use super::{
    access::OnlineAccess,
    encoded::Fitted,
    keys::requested,
    materialized::{MaterializedViews, before_materialization},
    pushed::{self, Pushable},
    served::{self, Answered},
    services::{self, DefinitionKey, ServedVersion},
};
use crate::{Engine, EngineError, engine::World};

/// Lists of features without a service that are kept compiled; when there are more, all are dropped.
const LISTS_MAX: usize = 1_024;

/// The name of what is read: a service, or a list of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadableName<'a> {
    /// A service without a version is the one that the project defines now.
    Service { name: &'a str, version: Option<i64> },
    /// Each entry of a list is `view.feature`, `view.*`, or an on-demand feature.
    Features(&'a [String]),
}

/// A service, or a list of features, ready to be read.
#[derive(Debug)]
pub struct Readable {
    pub definition: Arc<ServiceDefinition>,
    /// The version of a service; a list of features has none.
    pub version: Option<i64>,
    /// The key columns of all entities.
    pub keys: Fields,
    /// The values that a request has to bring.
    pub request: Fields,
    views: Vec<ReadableView>,
    on_demand: OnDemandExpressions,
    /// What answers alike once its views are materialised, and stays.
    next: Option<Arc<Readable>>,
    /// The feature of a view that each input of the on-demand features is; an input from the request has none.
    inputs: Vec<Option<FeatureSource>>,
}

/// The keys of a read.
struct Keys {
    /// The keys of all rows, by view, then by row.
    all: Vec<Arc<[Option<EntityKey>]>>,
    /// The keys that are not null, view by view, as the store is asked for them.
    wanted: Vec<RecordKey>,
}

#[derive(Debug)]
struct ReadableView {
    view: OnlineView,
    /// The plan that reads the features.
    plan: view::ReadPlan,
    /// The place of each feature among those that are read.
    places: HashMap<usize, usize>,
    /// The number of an earlier view that has the same keys.
    same_keys: Option<usize>,
}

/// A column of an answer.
#[derive(Clone, Debug)]
pub struct ReadColumn {
    pub name: String,
    pub values: ArrayRef,
    pub statuses: Vec<Status>,
    /// The time of the newest event behind each value; an on-demand feature has none.
    pub event_times: Option<TimestampMicrosecondArray>,
}

/// Reads and takes features for as long as it lives. Cloning shares it.
#[derive(Clone, Debug)]
pub struct FeatureServer(pub(crate) Arc<Inner>);

/// Readable services by name, then by version.
type Compiled = HashMap<String, HashMap<i64, Arc<Readable>>>;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) world: Arc<World>,
    pub(crate) access: Arc<OnlineAccess>,
    /// Whether the server was opened for a run of a process in which nobody reads or pushes.
    is_alone: bool,
    /// The share of the entities whose served values are kept, as [`served::threshold`] gives it.
    sampled_below: u64,
    services: Vec<ServedVersion>,
    /// The project's views.
    pub(super) views: IndexMap<String, OnlineView>,
    /// The readable versions of each service.
    compiled: Compiled,
    current: HashMap<String, Arc<Readable>>,
    lists: Mutex<HashMap<Vec<String>, Arc<Readable>>>,
    /// The fitted encodings, by the name of a dataset with its version.
    pub(super) fitted: Mutex<HashMap<String, Arc<Fitted>>>,
    /// Every definition of a view that something reads.
    pub(super) pushable: Vec<Pushable>,
    materialized: MaterializedViews,
}

/// For whom a feature server is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opener {
    /// Somebody may read and push.
    Server,
    /// A run or a command does its work.
    Work,
}

impl FeatureServer {
    /// Opens the online store and compiles every service version that is served. `sample` is the share of the served
    /// entities whose values are kept for comparison.
    pub fn open<'a>(engine: &'a Engine, sample: f64) -> BoxFuture<'a, Result<Self, EngineError>> {
        Self::open_in(engine.world(), sample, Opener::Server)
    }

    /// Opens the online store for a command that neither reads nor takes pushes. This serves nothing, so it records no version.
    pub fn open_for_work(engine: &Engine) -> BoxFuture<'_, Result<Self, EngineError>> {
        Self::open_in(engine.world(), 0.0, Opener::Work)
    }

    /// The feature server that is open for the project already, or else a new one for a run.
    pub(crate) async fn of(world: &Arc<World>) -> Result<Self, EngineError> {
        let known = || world.features.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        match known() {
            Some(inner) => Ok(Self(inner)),
            None => Self::open_in(world, 0.0, Opener::Work).await,
        }
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.0.is_alone
    }

    fn open_in(world: &Arc<World>, sample: f64, opener: Opener) -> BoxFuture<'_, Result<Self, EngineError>> {
        Box::pin(async move {
            let world = world.clone();
            let (access, is_first) = OnlineAccess::of(&world.process).await?;
            // Everything that can fail comes before the record of the project's services: those of a project that is refused
            // would be served by the next start.
            let definitions = services::definitions(&world).await?;
            let mut readable = BTreeMap::new();
            for (key, definition) in &definitions {
                readable.insert(key.clone(), Readable::new(definition.clone(), None)?);
            }
            let mut views = IndexMap::new();
            for (name, analyzed) in &world.project.features.views {
                views.insert(name.clone(), online_view(&analyzed.definition)?);
            }
            let named = definitions.iter().map(|((name, _), definition)| (name.clone(), definition.as_ref()));
            let stored = services::views_of(&world, named);
            let pushable = stored
                .into_values()
                .map(|view| Pushable::new(online_view(&view.definition)?))
                .collect::<Result<_, _>>()?;
            for name in views.keys() {
                pushed::go_on(&world, access.store.as_ref(), name).await?;
            }
            let services = match opener {
                Opener::Server => services::record_own(&world).await?,
                Opener::Work => services::recorded(&world).await?,
            };
            let (compiled, current) = by_version(&services, readable)?;
            let inner = Arc::new(Inner {
                world: world.clone(),
                access,
                is_alone: is_first && opener == Opener::Work,
                sampled_below: served::threshold(sample),
                services,
                views,
                compiled,
                current,
                lists: Mutex::default(),
                fitted: Mutex::default(),
                pushable,
                materialized: MaterializedViews::default(),
            });
            *world.features.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&inner);
            Ok(Self(inner))
        })
    }

    /// Every service version that is served, by name and version.
    #[must_use]
    pub fn services(&self) -> &[ServedVersion] {
        &self.0.services
    }

    /// The project's views.
    pub fn views(&self) -> impl Iterator<Item = &ViewDefinition> {
        self.0.views.values().map(OnlineView::definition)
    }

    /// A view of the project.
    pub fn view(&self, name: &str) -> Result<&ViewDefinition, EngineError> {
        self.online_view(name).map(OnlineView::definition)
    }

    /// The views that are read, by name, and whether each is what the project defines by that name now: a version of a service keeps
    /// the definitions of its own time.
    pub fn read_views<'a>(&'a self, readable: &'a Readable) -> impl Iterator<Item = (&'a str, bool)> {
        readable.views.iter().map(|read| {
            let name = read.view.definition().name.as_str();
            let present = self.0.views.get(name);
            (name, present.is_some_and(|present| present.space() == read.view.space()))
        })
    }

    pub(crate) fn online_view(&self, name: &str) -> Result<&OnlineView, EngineError> {
        self.0.views.get(name).ok_or_else(|| {
            let known = self.0.views.keys().map(String::as_str);
            EngineError::unknown_feature("view", name, known)
        })
    }

    /// The project's views that were never materialised as they are defined now, asked of the store.
    pub fn never_materialized<'a>(&'a self) -> BoxFuture<'a, Result<Vec<String>, EngineError>> {
        Box::pin(async move {
            let mut never = Vec::new();
            for (name, view) in &self.0.views {
                if !self.0.materialized.contains(self.0.access.store.as_ref(), view.space()).await? {
                    never.push(name.clone());
                }
            }
            Ok(never)
        })
    }

    /// Gives what a read of `named` needs, compiled once and handed out without an allocation.
    pub fn readable(&self, named: ReadableName<'_>) -> Result<Arc<Readable>, EngineError> {
        match named {
            ReadableName::Service { name, version } => {
                let found = match version {
                    Some(version) => self.0.compiled.get(name).and_then(|versions| versions.get(&version)),
                    None => self.0.current.get(name),
                };
                let written = || match version {
                    Some(version) => format!("{name}@{version}"),
                    None => name.to_owned(),
                };
                found.cloned().ok_or_else(|| match services::find(&self.0.services, &written()) {
                    Ok(known) => EngineError::unknown_feature("service", &known.name, std::iter::empty()),
                    Err(error) => error,
                })
            }
            ReadableName::Features(list) => self.list(list),
        }
    }

    fn list(&self, list: &[String]) -> Result<Arc<Readable>, EngineError> {
        let lists = || self.0.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lists().get(list) {
            return Ok(known.clone());
        }
        let definition = super::list::service_of(&self.0.world.project, list)?;
        let readable = Arc::new(Readable::new(Arc::new(definition), None)?);
        let mut lists = lists();
        if lists.len() >= LISTS_MAX {
            lists.clear();
        }
        lists.insert(list.to_vec(), readable.clone());
        Ok(readable)
    }

    /// The features of each row of `columns` at time `at` (microseconds; none is now), in the rows' order. A row with a null
    /// in a key finds nothing. What the store cannot give exactly as of `at` is null, and degraded: what came later must not
    /// be taken for what was known then.
    pub fn read<'a>(
        &'a self,
        readable: &'a Readable,
        columns: &'a IndexMap<String, ArrayRef>,
        rows: usize,
        at: Option<i64>,
        encoding: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<ReadColumn>, EngineError>> {
        Box::pin(async move {
            let readable = self.present(readable).await?;
            let now = self.0.world.options.clock.now().0;
            let (at, is_of_past) = (at.unwrap_or(now), at.is_some());
            let keys = readable.keys_of(columns, rows)?;
            let found = self.0.access.store.read(&keys.wanted).await?;
            let mut found = found.into_iter();
            let mut read = Vec::with_capacity(readable.views.len());
            for (own, keys) in readable.views.iter().zip(&keys.all) {
                let records: Vec<_> =
                    keys.iter().map(|key| key.as_ref().and_then(|_| found.next().flatten())).collect();
                let columns = own.view.columns(&records, at, &own.plan);
                let mut columns = columns.map_err(EngineError::online_view)?;
                let space = own.view.space();
                let is_whole = self.0.materialized.contains(self.0.access.store.as_ref(), space).await?;
                if !is_whole {
                    columns = before_materialization(columns);
                }
                read.push(if is_of_past || !is_whole { without_inexact(columns)? } else { columns });
            }
            let answer = readable.answer(&read, columns, rows).map_err(|error| {
                let views = readable.definition.views.iter().map(|view| view.name.as_str());
                self.0.world.project.told_of_views(views, error)
            })?;
            let keys = &keys.all;
            let answered = Answered { readable, columns, keys, read: &read, answer: &answer, rows, at, now };
            self.0.access.served.offer(self.0.sampled_below, &answered);
            match encoding {
                Some(dataset) => self.encode(dataset, answer).await,
                None => Ok(answer),
            }
        })
    }

    /// What a version is read by now: its next definition once that has its values.
    async fn present<'a>(&self, readable: &'a Readable) -> Result<&'a Readable, EngineError> {
        let Some(next) = readable.next.as_deref() else { return Ok(readable) };
        let spaces = next.views.iter().map(|own| own.view.space());
        let has_values = self.0.materialized.contains_all(self.0.access.store.as_ref(), spaces).await?;
        Ok(if has_values { next } else { readable })
    }

    /// Writes the sampled values that are still in memory, and syncs the online store.
    pub fn close<'a>(&'a self) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            self.0.access.served.flush().await?;
            Ok(self.0.access.store.sync().await?)
        })
    }
}

/// The readable services by name and version, and by name as the project has them now, or else the newest. One that another
/// process has recorded meanwhile is not compiled yet.
fn by_version(
    services: &[ServedVersion],
    mut readable: BTreeMap<DefinitionKey, Readable>,
) -> Result<(Compiled, HashMap<String, Arc<Readable>>), EngineError> {
    let (mut compiled, mut current) = (Compiled::new(), HashMap::new());
    for served in services {
        let known = readable.remove(&(served.name.clone(), served.hash.clone()));
        let version = Some(served.version);
        let readable = match known {
            Some(known) => Readable { version, ..known },
            None => Readable::new(served.definition.clone(), version)?,
        };
        let next = served.next.iter().map(|next| Readable::new(next.clone(), version).map(Arc::new)).next();
        let readable = Readable { next: next.transpose()?, ..readable };
        compiled.entry(served.name.clone()).or_default().insert(served.version, Arc::new(readable));
    }
    for (name, versions) in &compiled {
        let version = services::find(services, name)?.version;
        current.extend(versions.get(&version).map(|readable| (name.clone(), readable.clone())));
    }
    Ok((compiled, current))
}

/// The columns with nulls in the place of values that are not exact.
fn without_inexact(mut columns: view::Columns) -> Result<view::Columns, EngineError> {
    for (values, statuses) in columns.values.iter_mut().zip(&columns.statuses) {
        let is_inexact: BooleanArray =
            statuses.iter().map(|status| Some(*status == Status::Degraded)).collect();
        if is_inexact.true_count() > 0 {
            *values = nullif(values, &is_inexact)
                .map_err(|source| EngineError::Arrow { action: "leave out inexact values", source })?;
        }
    }
    Ok(columns)
}

pub(crate) fn online_view(definition: &ViewDefinition) -> Result<OnlineView, EngineError> {
    OnlineView::new(definition.clone()).map_err(EngineError::online_view)
}

impl ReadableView {
    fn keys_of(&self, columns: &IndexMap<String, ArrayRef>) -> Result<Vec<Option<EntityKey>>, EngineError> {
        let definition = self.view.definition();
        let mut of_key = Vec::with_capacity(definition.keys.len());
        for key in &definition.keys {
            let column = columns.get(&key.name).ok_or_else(|| EngineError::Request {
                message: format!("the key column `{}` of `{}` is missing", key.name, definition.entity),
                hint: None,
            })?;
            of_key.push(column.clone());
        }
        requested(&self.view, &of_key)
    }
}

impl Readable {
    pub(super) fn new(definition: Arc<ServiceDefinition>, version: Option<i64>) -> Result<Self, EngineError> {
        let mut needed: Vec<Vec<usize>> = vec![Vec::new(); definition.views.len()];
        let of_features = definition.features.iter().map(|feature| feature.source);
        let of_on_demand = definition.on_demand.iter().flat_map(|one| &one.inputs).map(|input| input.source);
        for source in of_features.chain(of_on_demand) {
            if let FeatureSource::View { view, feature } = source
                && let Some(needed) = needed.get_mut(view)
                && !needed.contains(&feature)
            {
                needed.push(feature);
            }
        }
        let mut views = Vec::with_capacity(needed.len());
        for (at, (view, features)) in definition.views.iter().zip(needed).enumerate() {
            let has_same_keys =
                |earlier: &ViewDefinition| earlier.entity == view.entity && earlier.keys == view.keys;
            let same_keys = definition.views.iter().take(at).position(has_same_keys);
            let view = online_view(view)?;
            let plan = view.plan_read(&features).map_err(EngineError::online_view)?;
            let places = features.into_iter().enumerate().map(|(place, feature)| (feature, place));
            views.push(ReadableView { view, plan, places: places.collect(), same_keys });
        }
        let on_demand = OnDemandExpressions::compile(&definition.on_demand).map_err(EngineError::Query)?;
        let named = definition.on_demand.iter().flat_map(|one| &one.inputs);
        let named: HashMap<&str, FeatureSource> =
            named.map(|input| (input.name.as_str(), input.source)).collect();
        let inputs = on_demand.inputs().fields().iter();
        let inputs = inputs.map(|field| named.get(field.name().as_str()).copied()).collect();
        let field = |name: &str, data_type: &arrow::datatypes::DataType| -> FieldRef {
            Arc::new(Field::new(name, data_type.clone(), true))
        };
        let mut keys: Vec<FieldRef> = Vec::new();
        for key in definition.entities.iter().flat_map(|entity| &entity.keys) {
            if !keys.iter().any(|known| known.name() == &key.name) {
                keys.push(field(&key.name, &key.data_type));
            }
        }
        let request = definition.request();
        let request = request.iter().map(|value| field(&value.name, &value.data_type)).collect();
        Ok(Self { definition, version, keys: keys.into(), request, views, on_demand, next: None, inputs })
    }

    fn keys_of(&self, columns: &IndexMap<String, ArrayRef>, rows: usize) -> Result<Keys, EngineError> {
        let mut all: Vec<Arc<[Option<EntityKey>]>> = Vec::with_capacity(self.views.len());
        let mut wanted = Vec::with_capacity(self.views.len() * rows);
        for own in &self.views {
            let keys = match own.same_keys.and_then(|earlier| all.get(earlier)) {
                Some(earlier) => Arc::clone(earlier),
                None => own.keys_of(columns)?.into(),
            };
            let space = own.view.space();
            wanted.extend(
                keys.iter()
                    .flatten()
                    .map(|key| RecordKey { space, entity: millstream_online::EntityKey::from(key.clone()) }),
            );
            all.push(keys);
        }
        Ok(Keys { all, wanted })
    }

    /// The numbers under which the records of the views are stored.
    pub(super) fn spaces(&self) -> impl Iterator<Item = u64> {
        self.views.iter().map(|own| own.view.space())
    }

    /// The numbers of the features that are read of each view.
    pub(super) fn needed(&self) -> impl Iterator<Item = Vec<usize>> {
        self.views.iter().map(|own| {
            let mut features: Vec<(usize, usize)> =
                own.places.iter().map(|(feature, place)| (*place, *feature)).collect();
            features.sort_unstable();
            features.into_iter().map(|(_, feature)| feature).collect()
        })
    }

    /// The columns of the service from those of its views.
    pub(super) fn answer(
        &self,
        read: &[view::Columns],
        columns: &IndexMap<String, ArrayRef>,
        rows: usize,
    ) -> Result<Vec<ReadColumn>, EngineError> {
        let of_view = |view: usize, feature: usize| {
            let place = *self.views.get(view)?.places.get(&feature)?;
            let read = read.get(view)?;
            Some((read.values.get(place)?, read.statuses.get(place)?, &read.event_times))
        };
        let computed = self.on_demand(&of_view, columns, rows)?;
        let mut answer = Vec::with_capacity(self.definition.features.len());
        for feature in &self.definition.features {
            let name = feature.name.clone();
            let found = match feature.source {
                FeatureSource::View { view, feature } => {
                    of_view(view, feature).map(|(values, statuses, times)| ReadColumn {
                        name: name.clone(),
                        values: values.clone(),
                        statuses: statuses.clone(),
                        event_times: Some(times.clone()),
                    })
                }
                FeatureSource::OnDemand(index) => computed.get(index).map(|values| ReadColumn {
                    name: name.clone(),
                    statuses: self.computed_statuses(index, values, &of_view),
                    values: values.clone(),
                    event_times: None,
                }),
            };
            answer.push(
                found.ok_or_else(|| EngineError::unknown_feature("feature", &name, std::iter::empty()))?,
            );
        }
        Ok(answer)
    }

    /// The statuses of an on-demand feature's values: what is computed of an inexact value is not exact either.
    fn computed_statuses<'r>(
        &self,
        index: usize,
        values: &ArrayRef,
        of_view: &impl Fn(usize, usize) -> Option<(&'r ArrayRef, &'r Vec<Status>, &'r TimestampMicrosecondArray)>,
    ) -> Vec<Status> {
        let mut statuses = present(values);
        for (view, feature) in self.inputs_of(index) {
            let of_input = of_view(view, feature).into_iter().flat_map(|(_, statuses, _)| statuses);
            for (status, of_input) in statuses.iter_mut().zip(of_input) {
                if *of_input == Status::Degraded {
                    *status = Status::Degraded;
                }
            }
        }
        statuses
    }

    /// The features, as view and number, that an on-demand feature is computed of, directly or through other on-demand
    /// features.
    pub(super) fn inputs_of(&self, index: usize) -> Vec<(usize, usize)> {
        let (mut open, mut inputs) = (vec![index], Vec::new());
        while let Some(one) = open.pop().and_then(|index| self.definition.on_demand.get(index)) {
            for input in &one.inputs {
                match input.source {
                    FeatureSource::View { view, feature } => inputs.push((view, feature)),
                    FeatureSource::OnDemand(index) => open.push(index),
                }
            }
        }
        inputs
    }

    /// The on-demand features over what was read and what came with the request.
    fn on_demand<'r>(
        &self,
        of_view: &impl Fn(usize, usize) -> Option<(&'r ArrayRef, &'r Vec<Status>, &'r TimestampMicrosecondArray)>,
        columns: &IndexMap<String, ArrayRef>,
        rows: usize,
    ) -> Result<Vec<ArrayRef>, EngineError> {
        if self.definition.on_demand.is_empty() {
            return Ok(Vec::new());
        }
        let schema = self.on_demand.inputs();
        let mut inputs = Vec::with_capacity(schema.fields().len());
        for (field, source) in schema.fields().iter().zip(&self.inputs) {
            let values = match source {
                Some(FeatureSource::View { view, feature }) => {
                    of_view(*view, *feature).map(|(values, ..)| values.clone())
                }
                _ => columns.get(field.name()).cloned(),
            };
            inputs.push(values.ok_or_else(|| EngineError::Request {
                message: format!("the request has no value `{}`", field.name()),
                hint: Some("on-demand features are computed of it".to_owned()),
            })?);
        }
        let failed = |source| EngineError::Arrow { action: "put a request's columns together", source };
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), inputs, &options).map_err(failed)?;
        self.on_demand.evaluate(&batch).map_err(EngineError::Query)
    }
}

/// The status of computed values.
fn present(values: &ArrayRef) -> Vec<Status> {
    (0..values.len()).map(|row| if values.is_null(row) { Status::Null } else { Status::Present }).collect()
}
