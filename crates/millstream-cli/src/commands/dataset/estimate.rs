//! `millstream dataset build --dry-run`: what a build would cost.

use std::time::Duration;

use millstream_engine::{DatasetRequest, Engine};

use crate::{
    CliError, Exit, human,
    output::{self, STRONG, styled},
    session::Session,
};

pub(super) async fn run(
    engine: &Engine,
    request: &DatasetRequest,
    session: &Session,
) -> Result<Exit, CliError> {
    let estimate = engine.estimate_dataset(request).await?;
    if session.settings.json {
        output::print_json(&estimate)?;
        return Ok(Exit::Success);
    }
    let time = Duration::try_from_secs_f64(estimate.seconds).unwrap_or(Duration::MAX);
    let memory = match estimate.will_spill {
        true => format!("about {} of rows go to disk meanwhile", human::bytes(estimate.spilled_bytes)),
        false => "everything fits into memory".to_owned(),
    };
    output::print(&format!(
        "{} would have {}, about {}, in about {}; {memory}.\n",
        styled(STRONG, &request.name),
        human::count(estimate.rows, "row"),
        human::bytes(estimate.bytes),
        human::duration(time),
    ))?;
    Ok(Exit::Success)
}
