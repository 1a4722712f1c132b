//! Why assets cannot be scheduled as they are defined.

use millstream_types::AssetId;

/// A fault of the assets or their triggers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("`{asset}` is defined twice")]
    Duplicate { asset: AssetId },
    #[error("`{asset}` reads `{input}`, which does not exist")]
    UnknownInput { asset: AssetId, input: AssetId },
    #[error("`{asset}` runs after `{after}`, which does not exist")]
    UnknownAfter { asset: AssetId, after: AssetId },
    /// The path starts and ends with the same asset; each one reads the one before it or runs after it.
    #[error("these assets set each other off in a circle: {}", join(path))]
    Cycle { path: Vec<AssetId> },
    #[error("`{asset}` runs in the pool `{pool}`, which does not exist")]
    UnknownPool { asset: AssetId, pool: String },
}

impl ScheduleError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Duplicate { .. } => "rename one of the two".into(),
            Self::UnknownInput { input, .. } => format!("define `{input}`, or read something else"),
            Self::UnknownAfter { after, .. } => format!("define `{after}`, or name an asset that there is"),
            Self::Cycle { .. } => "let one of them run on a schedule instead of after another".into(),
            Self::UnknownPool { pool, .. } => format!("say how many steps the pool `{pool}` takes at once"),
        }
    }
}

fn join(path: &[AssetId]) -> String {
    path.iter().map(AssetId::as_str).collect::<Vec<_>>().join(" -> ")
}
