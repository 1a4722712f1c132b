//! What people at a terminal are told of a project that was loaded again without their asking the server.

use millstream_api::project::ProjectAnswer;
use millstream_server::ApiError;
use tracing::Level;

use crate::{
    human, log,
    output::{self, CAUTION, GOOD, styled},
};

/// Tells how loading the project again ended, unless `is_told` says that nobody listens, or the log has said it: that goes to
/// standard error too.
pub(super) fn tell_loaded(loaded: &Result<ProjectAnswer, ApiError>, is_told: bool) {
    if !is_told || is_logged(loaded.is_ok()) {
        return;
    }
    output::tell(&match loaded {
        Ok(loaded) => {
            let assets = human::count(loaded.assets as u64, "asset");
            format!("{} Loaded again: {assets}", styled(GOOD, '✓'))
        }
        Err(error) => format!("{} Not loaded again: {error}", styled(CAUTION, '!')),
    });
}

/// Whether the log has said how loading the project again ended.
fn is_logged(is_loaded: bool) -> bool {
    log::shows(module_path!(), if is_loaded { Level::INFO } else { Level::WARN })
}
