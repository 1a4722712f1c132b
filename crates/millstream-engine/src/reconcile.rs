//! Brings the state store up to what the lake says.
//!
//! A step commits to the lake first and records itself second. When the process dies in between, or another
//! machine worked on the same lake, the commit's own record ([`crate::commit_info`]) says what was built from
//! what; it is copied into the state store here.

use millstream_lake::At;
use millstream_plan::{AssetStatus, Recorded};
use millstream_types::{AssetId, TableName};

use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed},
    engine::World,
};

/// What the lake says of `table` at its newest `version`, recorded and returned. `None` when the lake has no
/// such table any more, or when it is there without any record of ours.
pub(crate) async fn asset(
    world: &World,
    table: &TableName,
    known: Option<&Recorded>,
    version: Option<i64>,
) -> Result<Option<Recorded>, EngineError> {
    let id = table.asset_id();
    let Some(version) = version else {
        forget_reads(world, &id)?;
        world.state.forget_asset(&id)?;
        return Ok(None);
    };
    // Maintenance and reprocessing may stand after the commit that built the present content.
    let commits = world.lake.history(table, None).await?;
    let built =
        commits.iter().find_map(|commit| Some((commit.version, CommitInfo::from_json(&commit.info)?)));
    let recorded = match (built, known) {
        (Some((built, info)), known) if known.is_none_or(|known| is_news(built, version, known)) => {
            Recorded {
                fingerprint: info.fingerprint,
                input_versions: match info.what {
                    Committed::Build { inputs, .. } => inputs,
                    Committed::Landing { .. } | Committed::Reprocess { .. } => Default::default(),
                },
                version: Some(version),
                rows: world.lake.snapshot(table, At::Version(version)).await?.and_then(|it| it.rows()),
                built_at: info.at,
                status: AssetStatus::Built,
            }
        }
        (_, Some(known)) => Recorded { version: Some(version), ..known.clone() },
        (_, None) => return Ok(None),
    };
    world.state.record_asset(&id, &recorded)?;
    Ok(Some(recorded))
}

/// Whether the commit that `built` the content is not the one that is known. Versions tell, because clocks go back: it is
/// a later one, or the table was taken back to an earlier version, or made anew.
fn is_news(built: i64, version: i64, known: &Recorded) -> bool {
    known.version.is_none_or(|known| built > known || version < known)
}

/// Takes a table that is gone out of what others were built from: when it comes back, its versions count from 0
/// again, and an equal number does not mean equal rows.
fn forget_reads(world: &World, gone: &AssetId) -> Result<(), EngineError> {
    for (reader, mut recorded) in world.state.recorded()? {
        if recorded.input_versions.remove(gone).is_some() {
            world.state.record_asset(&reader, &recorded)?;
        }
    }
    Ok(())
}
