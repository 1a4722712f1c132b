//! Why there is no plan.

use millstream_schedule::ScheduleError;
use millstream_types::AssetId;

use crate::SelectionError;

/// A fault of the graph or of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("`{asset}` is defined twice")]
    Duplicate { asset: AssetId },
    #[error("`{asset}` reads `{input}`, which does not exist")]
    UnknownInput { asset: AssetId, input: AssetId, nearest: Option<AssetId> },
    /// The path starts and ends with the same asset; each one reads the one before it.
    #[error("these tables read each other in a circle: {}", join(path))]
    Cycle { path: Vec<AssetId> },
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("`{asset}` reads `{input}`, which was never built and is not selected")]
    InputNeverBuilt { asset: AssetId, input: AssetId },
    /// The assets cannot be scheduled as they are defined.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl PlanError {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "MS-0901",
            Self::UnknownInput { .. } => "MS-0902",
            Self::Cycle { .. } => "MS-0903",
            Self::InputNeverBuilt { .. } => "MS-0904",
            Self::Schedule(_) => "MS-0905",
            Self::Selection(error) => error.code(),
        }
    }

    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Duplicate { .. } => Some("rename one of the two".into()),
            Self::UnknownInput { nearest, .. } => {
                nearest.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            Self::Cycle { .. } => Some("let one of them read something that does not depend on it".into()),
            Self::InputNeverBuilt { asset, .. } => {
                Some(format!("select `+{asset}` to build what it reads too"))
            }
            Self::Schedule(error) => Some(error.hint()),
            Self::Selection(error) => error.hint(),
        }
    }
}

fn join(path: &[AssetId]) -> String {
    path.iter().map(AssetId::as_str).collect::<Vec<_>>().join(" -> ")
}
