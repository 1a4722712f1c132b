//! Samples of what is recorded.

use std::time::Duration;

use millstream_plan::{AssetKind, AssetStatus, Reason, Recorded};
use millstream_state::{
    NewArtifact, Proof, Receipt, RunStart, Sameness, StepEnd, StepFigures, StepOutcome, StepRecord,
};
use millstream_types::{AssetId, AssetVersion, Fingerprint, RunId, TableName, TimestampMicros};

pub(crate) fn asset(name: &str) -> AssetId {
    AssetId::new(name)
}

pub(crate) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

pub(crate) fn run(number: i64) -> RunStart {
    RunStart {
        run: RunId::new(&format!("run-{number}")),
        command: "millstream run".into(),
        principal: Some("ci".into()),
        version: "0.1.0".into(),
        asked: Some(TimestampMicros(number * 1_000 - 300)),
        started: TimestampMicros(number * 1_000),
        lease: None,
    }
}

pub(crate) fn recorded(version: i64) -> Recorded {
    let version = AssetVersion::numbered(version);
    Recorded {
        fingerprint: Fingerprint::new([7; 32]),
        input_versions: [(asset("bronze.a"), version), (asset("bronze.b"), AssetVersion::numbered(2))].into(),
        version: Some(version),
        rows: Some(10),
        built_at: TimestampMicros(5),
        status: AssetStatus::Built,
    }
}

pub(crate) fn step(run: &RunId, name: &str, outcome: StepOutcome) -> StepRecord {
    StepRecord {
        run: run.clone(),
        asset: asset(name),
        reason: String::new(),
        reason_text: String::new(),
        outcome,
        rows_written: 3,
        rows_deleted: 2,
        rows_rejected: u64::MAX >> 1,
        version: Some(AssetVersion::numbered(4)),
        finished: TimestampMicros(9),
        elapsed: Duration::from_micros(1_500),
        figures: Some(figures()),
    }
    .with_reason(&Reason::NewInput { from: vec!["bronze.a".into()] })
}

/// Figures of which some are known.
pub(crate) fn figures() -> StepFigures {
    StepFigures {
        ready: Some(TimestampMicros(7)),
        started: Some(TimestampMicros(8)),
        retries: Some(1),
        cpu_us: Some(1_200),
        receipt: Some(Receipt {
            proof: Proof::EachRow,
            rows_in: Some(6),
            rows_made: 6,
            rows_out: 3,
            rows_rejected: 1,
            rows_filtered: Some(2),
        }),
        ..StepFigures::default()
    }
}

pub(crate) fn end<'a>(step: &'a StepRecord, recorded: Option<&'a Recorded>) -> StepEnd<'a> {
    StepEnd { step, recorded, checks: &[], metrics: &[], messages: &[] }
}

/// A model that differs from others by its name.
pub(crate) fn artifact(name: &str) -> NewArtifact<'_> {
    NewArtifact {
        kind: AssetKind::new("model"),
        name,
        hash: "1",
        definition: "{}",
        location: None,
        made_of: None,
        at: TimestampMicros(1),
        pins: &[],
        sameness: Sameness::NewestAlike,
    }
}
