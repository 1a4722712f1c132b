//! Brings the state store up to what the lake says.
//!
//! A step commits to the lake first and records itself second. When the process dies in between, or another
//! machine worked on the same lake, the commit's own record ([`crate::commit_info`]) says what was built from
//! what; it is copied into the state store here.

use millstream_lake::At;
use millstream_plan::{AssetStatus, Recorded};
use millstream_types::TableName;

use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed},
    engine::World,
};

/// What the lake says of `table` at its newest `version`, recorded and returned. `None` when the lake has no
/// such table any more, or its commits carry no record of ours.
pub(crate) async fn asset(
    world: &World,
    table: &TableName,
    version: Option<i64>,
) -> Result<Option<Recorded>, EngineError> {
    let id = table.asset_id();
    let Some(version) = version else {
        world.state.forget_asset(&id)?;
        return Ok(None);
    };
    // Maintenance and reprocessing may stand after the commit that built the present content.
    let commits = world.lake.history(table, None).await?;
    let known = world.state.asset(&id)?;
    let built = commits.iter().find_map(|commit| {
        let info = CommitInfo::from_json(commit.info.as_ref()?)?;
        Some((commit.version, info))
    });
    let recorded = match (built, known) {
        (Some((_, info)), known) => {
            let inputs = match info.what {
                Committed::Build { inputs, .. } => inputs,
                Committed::Landing { .. } | Committed::Reprocess { .. } => Default::default(),
            };
            let rows = world.lake.snapshot(table, At::Version(version)).await?.and_then(|it| it.rows());
            // A step that failed after that commit stays on record as failed.
            let status = match known {
                Some(known) if known.built_at >= info.at => known.status,
                _ => AssetStatus::Built,
            };
            Recorded {
                fingerprint: info.fingerprint,
                input_versions: inputs,
                version: Some(version),
                rows,
                built_at: info.at,
                status,
            }
        }
        (None, Some(known)) => Recorded { version: Some(version), ..known },
        (None, None) => return Ok(None),
    };
    world.state.record_asset(&id, &recorded)?;
    Ok(Some(recorded))
}
