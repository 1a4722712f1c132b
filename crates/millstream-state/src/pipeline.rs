//! How pipelines were when the process that keeps them last told, for whoever asks in another process.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::changed,
};

/// What a process told of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineRecord {
    pub asset: AssetId,
    pub at: TimestampMicros,
    /// The figures, in a form that the engine gives them.
    pub figures: String,
}

impl State {
    /// What was last told of each pipeline, by asset.
    pub fn pipelines(&self) -> BoxFuture<'_, Result<Vec<PipelineRecord>, StateError>> {
        async move {
            let sql = "SELECT asset, at, figures FROM pipelines ORDER BY asset";
            self.rows("read how the pipelines are", sql, &[]).await?.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// Records how pipelines are, each in the place of what was told of it before. What is known of those among `gone` is forgotten.
    pub fn record_pipelines<'a>(
        &'a self,
        pipelines: &'a [PipelineRecord],
        gone: &'a [AssetId],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record how the pipelines are").await?;
                for PipelineRecord { asset, at, figures } in pipelines {
                    let sql = "INSERT INTO pipelines (asset, at, figures) VALUES ($1, $2, $3) \
                               ON CONFLICT (asset) DO UPDATE SET at = excluded.at, figures = excluded.figures";
                    work.execute(sql, &parameters![asset.as_str(), at.0, figures.as_str()]).await?;
                }
                for asset in gone {
                    let sql = "DELETE FROM pipelines WHERE asset = $1";
                    work.execute(sql, &parameters![asset.as_str()]).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<PipelineRecord, StateError> {
    Ok(PipelineRecord {
        asset: AssetId::new(&row.text(0)?),
        at: TimestampMicros(row.integer(1)?),
        figures: row.text(2)?,
    })
}
