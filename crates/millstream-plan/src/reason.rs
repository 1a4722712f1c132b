//! Why an asset runs, or does not.

use millstream_types::AssetId;

/// The one reason that the plan gives an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NeverBuilt,
    DefinitionChanged,
    /// These inputs have, or will have, a version that the asset has not seen. For a source: these parts.
    NewInput { from: Vec<String> },
    /// The schedule or the freshness bound asks for it.
    Stale,
    Forced,
    UpstreamFailed { because: AssetId },
    UpToDate,
}
