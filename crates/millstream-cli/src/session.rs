//! What every command gets: settings, connectors, and the wish to stop.

use std::sync::Arc;

use millstream_connector::ConnectorFactory;
use tokio_util::sync::CancellationToken;

use crate::{
    CliError, ErrorReport, Exit, diagnostics,
    output::{self, BAD, FAINT, GOOD, styled},
    project,
    settings::Settings,
    wire,
};

/// The surroundings of one command.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) connectors: Arc<[Box<dyn ConnectorFactory>]>,
    pub(crate) cancel: CancellationToken,
}

impl Session {
    pub(crate) fn new(
        settings: Settings,
        connectors: Vec<Box<dyn ConnectorFactory>>,
        cancel: CancellationToken,
    ) -> Self {
        Self { settings, connectors: connectors.into(), cancel }
    }

    /// Tells the fault, to people on standard error or to machines on standard output.
    pub(crate) fn fail(&self, error: &CliError) -> Exit {
        if error.is_broken_pipe() {
            return Exit::Success;
        }
        if let CliError::Project(checked) = error {
            // As above: the exit code still tells.
            let _ = project::show_problems(checked, self.settings.json);
            return Exit::Usage;
        }
        let report = error.report();
        if let (CliError::Statement { sql, source }, false) = (error, self.settings.json)
            && let Some(shown) = diagnostics::statement(sql, source, output::colour_on_stderr())
        {
            output::tell(&shown);
            return report.exit;
        }
        // Where standard output takes no document, people are told what happened all the same.
        if !self.settings.json || output::print_json(&wire::ErrorDocument::from(&report)).is_err() {
            tell_failure(&report);
        }
        report.exit
    }
}

/// Tells people of a fault on standard error.
pub(crate) fn tell_failure(report: &ErrorReport) {
    let code = styled(BAD, format_args!("error[{}]", report.code));
    output::tell(&format!("{code}: {}", report.message));
    for cause in &report.causes {
        output::tell(&format!("  {} {cause}", styled(FAINT, "because:")));
    }
    if let Some(hint) = &report.hint {
        output::tell(&format!("  {} {hint}", styled(GOOD, "help:")));
    }
}
