//! Brings the state store up to what the lake says.
//!
//! A step commits to the lake first and records itself second. When the process dies in between, or another
//! machine worked on the same lake, the commit's own record ([`crate::commit_info`]) says what was built from
//! what; it is copied into the state store here. Whoever plans, reprocesses or maintains begins with this.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use millstream_lake::{At, CommitRecord, LakeError};
use millstream_plan::{AssetStatus, Recorded};
use millstream_project::SourceSpec;
use millstream_state::{FoundAsset, Metric};
use millstream_types::{AssetId, AssetVersion, Fingerprint, TableName};

use crate::{
    EngineError,
    assets::{table::is_gone, table_of},
    audit::metrics,
    commit_info::{CommitInfo, Committed},
    engine::World,
    error::told,
    publish::is_outdated,
};

/// The number of probes at the same time; each is a look at one file or a listing.
const PROBES_AT_ONCE: usize = 32;

/// The fingerprint of no definition, which is on record of a build that left something undone.
pub(crate) const UNFINISHED: Fingerprint = Fingerprint::new([0; 32]);

/// What lake and state store agree on.
pub(crate) struct Reconciled {
    pub recorded: BTreeMap<AssetId, Recorded>,
    /// The newest version of every table that the lake has.
    pub versions: BTreeMap<AssetId, AssetVersion>,
    /// The tables that were recorded and are no longer in the lake, with the version that they had.
    pub vanished: BTreeMap<AssetId, AssetVersion>,
    /// The tables whose log cannot be understood, with what is wrong. The step of the table reports it, while others go on.
    pub unreadable: BTreeMap<AssetId, String>,
}

/// A stored table with the version that is recorded and the one that the lake has.
struct Probed {
    table: TableName,
    known: Option<AssetVersion>,
    version: Option<AssetVersion>,
}

/// The assets that are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    All,
    /// These, which [`millstream_plan::Graph::looked_at`] gives for a plan of some assets. Where the state store turns out to be
    /// behind for one of them, all are looked at: what it did not know changes what is recorded of those that read it.
    Of(&'a BTreeSet<AssetId>),
}

/// Looks at the stored tables in the scope, and takes over what the state store does not know of them. What others record
/// meanwhile is newer, and stays.
pub(crate) async fn reconcile(world: &World, scope: Scope<'_>) -> Result<Reconciled, EngineError> {
    let (reconciled, news) = look(world, scope).await?;
    news.record(world, &reconciled.recorded).await?;
    Ok(reconciled)
}

/// What lake and state store would agree on, without recording it.
pub(crate) async fn reconciled(world: &World, scope: Scope<'_>) -> Result<Reconciled, EngineError> {
    look(world, scope).await.map(|(reconciled, _)| reconciled)
}

async fn look(world: &World, scope: Scope<'_>) -> Result<(Reconciled, News), EngineError> {
    if let Scope::Of(assets) = scope {
        let known = world.state.recorded_among(assets).await?;
        let looked = compare(world, known, tables_among(world, assets)).await?;
        if looked.1.assets.is_empty() {
            return Ok(looked);
        }
    }
    compare(world, world.state.recorded().await?, stored_tables(world).collect()).await
}

/// Compares what is `known` with the `tables` of the lake.
async fn compare(
    world: &World,
    known: BTreeMap<AssetId, Recorded>,
    tables: Vec<TableName>,
) -> Result<(Reconciled, News), EngineError> {
    let mut recorded = known.clone();
    let probes: Vec<_> = tables
        .into_iter()
        .map(|table| {
            let known = recorded.get(&table.asset_id()).and_then(|recorded| recorded.version);
            probe(world, table, known)
        })
        .collect();
    let probed: BTreeMap<AssetId, Probed> =
        stream::iter(probes).buffered(PROBES_AT_ONCE).try_collect().await?;
    let mut news = News { known, ..News::default() };
    let (mut vanished, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
    // Tables of rejected rows have no record of their own.
    let is_ahead = |probed: &Probed| probed.version != probed.known && !probed.table.is_rejected();
    for (id, probed) in probed.iter().filter(|(_, probed)| is_ahead(probed)) {
        let was_known = recorded.contains_key(id);
        let found = match news_of(world, probed, recorded.get(id)).await {
            Err(EngineError::Lake(error @ LakeError::Log { .. })) => {
                unreadable.insert(id.clone(), told(&error));
                continue;
            }
            found => found?,
        };
        if let (Some(known), None) = (probed.known, probed.version) {
            vanished.insert(id.clone(), known);
        }
        if was_known || found.is_some() {
            news.assets.insert(id.clone());
        }
        match found {
            Some((found, metrics)) => {
                recorded.insert(id.clone(), found);
                news.metrics.insert(id.clone(), metrics);
            }
            None => {
                recorded.remove(id);
            }
        }
    }
    // Readers are judged only here, because only here is everything known that they were built from.
    for (reader, recorded) in &mut recorded {
        if reread(world, &probed, &mut recorded.input_versions).await? {
            news.assets.insert(reader.clone());
        }
    }
    let versions = probed.into_iter().filter_map(|(id, probed)| Some((id, probed.version?))).collect();
    Ok((Reconciled { recorded, versions, vanished, unreadable }, news))
}

/// What `table` was built from at `version`, which its commits say where the record does not: a step that is tried again
/// may have committed, and another machine may have been faster.
pub(crate) async fn built_from(
    world: &World,
    table: &TableName,
    version: Option<AssetVersion>,
    known: Option<Recorded>,
) -> Result<Option<Recorded>, EngineError> {
    let recorded = known.as_ref().and_then(|known| known.version);
    if recorded == version {
        return Ok(known);
    }
    let probed = Probed { table: table.clone(), known: recorded, version };
    Ok(news_of(world, &probed, known.as_ref()).await?.map(|(found, _)| found))
}

async fn probe(
    world: &World,
    table: TableName,
    known: Option<AssetVersion>,
) -> Result<(AssetId, Probed), EngineError> {
    let version = world.lake.probe(&table, known.map(AssetVersion::number)).await?;
    let version = version.map(AssetVersion::numbered);
    Ok((table.asset_id(), Probed { table, known, version }))
}

/// Assets of which something else is recorded from now on, and figures of those that were built.
#[derive(Default)]
struct News {
    /// What was recorded when the lake was looked at.
    known: BTreeMap<AssetId, Recorded>,
    assets: BTreeSet<AssetId>,
    metrics: BTreeMap<AssetId, Vec<Metric>>,
}

impl News {
    /// Records everything at once: the versions that a reader has read are adapted only while the record of the table
    /// is behind the lake, so a table that was recorded alone would leave its readers behind for good.
    async fn record(&self, world: &World, recorded: &BTreeMap<AssetId, Recorded>) -> Result<(), EngineError> {
        let found = self.assets.iter().map(|asset| FoundAsset {
            asset,
            seen: self.known.get(asset),
            recorded: recorded.get(asset),
            metrics: self.metrics.get(asset).map(Vec::as_slice).unwrap_or_default(),
        });
        Ok(world.state.record_found(&found.collect::<Vec<_>>()).await?)
    }
}

/// What the lake says of a table at its newest version, with the figures of the step that built it where they are news.
/// `None` when the lake has no such table any more, or when it is there without any record of ours.
async fn news_of(
    world: &World,
    probed: &Probed,
    known: Option<&Recorded>,
) -> Result<Option<(Recorded, Vec<Metric>)>, EngineError> {
    let Some(version) = probed.version else { return Ok(None) };
    // Maintenance may stand after the commit that built the present content.
    let commits = world.lake.history(&probed.table, None).await?;
    let commits: Vec<_> = commits.iter().filter_map(ours).collect();
    match (commits.first(), known) {
        (Some((built, info)), known) if known.is_none_or(|known| is_news(*built, version, known)) => {
            let snapshot = world.lake.snapshot(&probed.table, At::Version(version.number())).await?;
            let rows = snapshot.and_then(|snapshot| snapshot.rows());
            let found = Recorded {
                fingerprint: followed(&commits, version, known).unwrap_or(info.fingerprint),
                input_versions: match &info.what {
                    Committed::Build { inputs, .. } => inputs.clone(),
                    Committed::Landing { .. } | Committed::Reprocess { .. } | Committed::Pipeline { .. } => {
                        BTreeMap::new()
                    }
                },
                version: Some(version),
                rows,
                built_at: info.at,
                status: AssetStatus::Built,
            };
            if matches!(info.what, Committed::Build { .. }) && is_unfinished(world, &probed.table).await? {
                // Another build does again what this one left undone when its process ended.
                return Ok(Some((Recorded { fingerprint: UNFINISHED, ..found }, Vec::new())));
            }
            let metrics = metrics(rows).into_iter().map(|(name, value)| Metric { name, value });
            Ok(Some((found, metrics.collect())))
        }
        // The log does not say what a table was built from that was put back to this version.
        (_, Some(known)) if known.version <= Some(version) => {
            Ok(Some((Recorded { version: Some(version), ..known.clone() }, Vec::new())))
        }
        _ => Ok(None),
    }
}

/// Whether a build of the table ended before it took away the rejected rows that it had made obsolete.
async fn is_unfinished(world: &World, table: &TableName) -> Result<bool, EngineError> {
    match world.lake.snapshot(table, At::Latest).await? {
        Some(snapshot) => is_outdated(world, &snapshot).await,
        None => Ok(false),
    }
}

fn ours(commit: &CommitRecord) -> Option<(AssetVersion, CommitInfo)> {
    Some((AssetVersion::numbered(commit.version), CommitInfo::from_json(&commit.info)?))
}

/// Whether the commit that `built` the content is another one than the known one. Versions tell, because clocks go
/// back: the commit is later, or the table was taken back to an earlier version or made again.
fn is_news(built: AssetVersion, version: AssetVersion, known: &Recorded) -> bool {
    known.version.is_none_or(|known| built > known || version < known)
}

/// The definition that the table follows at `version`. A reprocessing takes rows in and leaves what else the definition
/// asks for to the next run, so its own commit does not tell. `commits` are the newest first.
fn followed(
    commits: &[(AssetVersion, CommitInfo)],
    version: AssetVersion,
    known: Option<&Recorded>,
) -> Option<Fingerprint> {
    let is_reprocess = |info: &CommitInfo| matches!(info.what, Committed::Reprocess { .. });
    let built = commits.iter().find(|(_, info)| !is_reprocess(info));
    let since = built.map_or(AssetVersion::numbered(0), |(version, _)| *version);
    // A run that found nothing to do for a new definition recorded it and made no commit.
    let is_later = |known: &&Recorded| known.version.is_some_and(|known| (since..=version).contains(&known));
    let recorded = match commits.first() {
        Some((_, info)) if is_reprocess(info) => known.filter(is_later),
        _ => None,
    };
    recorded.map(|known| known.fingerprint).or(built.map(|(_, info)| info.fingerprint))
}

/// Brings the versions of inputs that an asset has read to what they mean now, and returns whether one of them changed.
async fn reread(
    world: &World,
    probed: &BTreeMap<AssetId, Probed>,
    read: &mut BTreeMap<AssetId, AssetVersion>,
) -> Result<bool, EngineError> {
    let mut is_news = false;
    for (input, seen) in read {
        let Some(Probed { table, known, version }) = probed.get(input) else { continue };
        let now = match *version {
            // A table that went back is another one, even where it has grown beyond what was read.
            Some(version) if version >= *seen && known.is_none_or(|known| version >= known) => {
                // A run records what it commits, and the steps behind it read it. A version that is not recorded may
                // come from a maintenance that died, for which no reader has to run.
                let is_unrecorded = *known != Some(version);
                if is_unrecorded && same_rows(world, table, *seen, version).await? { version } else { *seen }
            }
            _ => AssetVersion::LOST,
        };
        is_news |= *seen != now;
        *seen = now;
    }
    Ok(is_news)
}

/// Whether only files were put together between the two versions.
pub(crate) async fn same_rows(
    world: &World,
    table: &TableName,
    from: AssetVersion,
    to: AssetVersion,
) -> Result<bool, EngineError> {
    if from == to {
        return Ok(true);
    }
    match world.lake.changes(table, from.number(), to.number()).await {
        Ok(changes) => Ok(changes.is_empty() && changes.from_schema == changes.to_schema),
        Err(LakeError::Log { .. }) => Ok(false),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Those of the assets that are tables which exist in the lake once they are built.
fn tables_among(world: &World, assets: &BTreeSet<AssetId>) -> Vec<TableName> {
    let graph = &world.project.graph;
    let is_stored = |id: &AssetId| graph.get(id).is_none_or(|facts| !facts.passes_through);
    assets.iter().filter(|id| is_stored(id)).filter_map(|id| table_of(id).ok()).collect()
}

/// The tables that exist in the lake once they are built: all but views, and the tables of rejected rows that
/// some SQL reads.
fn stored_tables(world: &World) -> impl Iterator<Item = TableName> {
    let spec = &world.project.spec;
    let sources = spec.sources.iter().map(SourceSpec::table);
    let tables = spec.tables.iter().filter(|table| !table.materialize.is_view());
    let read = world.project.analysis.tables.values().flat_map(|table| &table.dependencies);
    let rejected: BTreeSet<_> = read.filter(|table| table.is_rejected()).cloned().collect();
    sources.chain(tables.map(|table| table.name.clone())).chain(rejected)
}
