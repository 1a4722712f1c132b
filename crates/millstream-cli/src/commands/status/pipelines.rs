//! The pipelines, one line each.

use std::time::Duration;

use millstream_engine::{PipelineSeen, PipelineState, Status};

use crate::{
    human,
    output::{BAD, CAUTION, FAINT, GOOD, styled},
    show::table::table,
    standing::between,
};

/// What is older than this was told by a process that no longer keeps the pipeline.
const FRESH: Duration = Duration::from_secs(30);

/// The table of the pipelines, the line breaks around it included; nothing without any.
pub(super) fn text(status: &Status) -> String {
    if status.pipelines.is_empty() {
        return String::new();
    }
    let header =
        ["pipeline", "state", "behind", "rows/s", "late", "rejected", "commit p50", "p99", "state size"];
    let rows: Vec<Vec<String>> = status.pipelines.iter().map(|seen| row(seen, status)).collect();
    let right: Vec<bool> = (0..header.len()).map(|column| column > 2).collect();
    let mut text = format!("\n{}", table(&header, &rows, &right));
    for seen in &status.pipelines {
        if let Some(error) = seen.status.state.error() {
            text.push_str(&format!("\n{} {}: {error}\n", styled(BAD, '●'), seen.status.asset));
        }
    }
    text
}

fn row(PipelineSeen { status: seen, at }: &PipelineSeen, status: &Status) -> Vec<String> {
    let behind = match seen.lag_rows {
        0 => "no row".to_owned(),
        rows => format!("{}, {}", human::count(rows, "row"), human::duration(seen.lag)),
    };
    let age = between(*at, status.now);
    let state = match &seen.state {
        _ if age > FRESH => styled(FAINT, format!("told {}", human::ago(age))),
        PipelineState::Working => styled(GOOD, "working"),
        PipelineState::Waiting | PipelineState::Retrying { .. } => styled(CAUTION, seen.state.as_str()),
        PipelineState::SetAside { .. } => styled(BAD, "set aside"),
        PipelineState::Ended => styled(FAINT, "ended"),
    };
    vec![
        seen.asset.to_string(),
        state,
        behind,
        format!("{:.0}", seen.rows_per_second),
        human::thousands(seen.rows_late),
        human::thousands(seen.rows_rejected),
        human::duration(seen.commit_p50),
        human::duration(seen.commit_p99),
        human::bytes(seen.state_bytes),
    ]
}
