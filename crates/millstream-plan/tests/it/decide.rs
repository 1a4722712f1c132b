//! One asset's reason.

use millstream_plan::{AssetStatus, InputNow, Now, Reason, Recorded, decide};
use millstream_types::{AssetVersion, Fingerprint, TimestampMicros};

use crate::world::{facts, id};

/// A table at version 4 that has read version 7 of its input.
fn recorded() -> Recorded {
    Recorded {
        fingerprint: Fingerprint::new([1; 32]),
        input_versions: [(id("bronze.a"), version(7))].into(),
        version: Some(version(4)),
        rows: None,
        built_at: TimestampMicros(0),
        status: AssetStatus::Built,
    }
}

fn version(number: i64) -> AssetVersion {
    AssetVersion::numbered(number)
}

fn new_input() -> Reason {
    Reason::NewInput { from: vec!["bronze.a".into()] }
}

#[derive(Clone, Debug)]
struct Case {
    recorded: Option<Recorded>,
    version: Option<i64>,
    input: Option<i64>,
    changing: bool,
    force: bool,
    vanished: Option<i64>,
    unreadable: Option<&'static str>,
    overdue: bool,
    partitions_open: u64,
}

fn check(expected: Reason, change: impl FnOnce(&mut Case)) {
    let mut case = Case {
        recorded: Some(recorded()),
        version: Some(4),
        input: Some(7),
        changing: false,
        force: false,
        vanished: None,
        unreadable: None,
        overdue: false,
        partitions_open: 0,
    };
    change(&mut case);
    let table = facts("silver.t: table <- bronze.a");
    let input = id("bronze.a");
    let now = Now {
        version: case.version.map(version),
        inputs: &[InputNow { table: &input, version: case.input.map(version), changing: case.changing }],
        parts: &[],
        force: case.force,
        vanished: case.vanished.map(version),
        unreadable: case.unreadable,
        overdue: case.overdue,
        partitions_open: case.partitions_open,
    };
    assert_eq!(decide(&table, case.recorded.as_ref(), &now), expected, "{case:?}");
}

fn last(case: &mut Case, status: AssetStatus) {
    case.recorded.as_mut().unwrap().status = status;
}

#[test]
fn each_reason_has_its_cause() {
    let failed = || AssetStatus::Failed { code: "MS-0401".into(), error: "disk full".into() };
    let halted = || AssetStatus::Halted { reason: "12 % rejected".into() };
    let because = |text: &str| Reason::Retry { because: text.into() };
    check(Reason::UpToDate, |_| {});
    check(Reason::Forced, |case| case.force = true);
    check(Reason::Forced, |case| (case.force, case.recorded) = (true, None));
    check(Reason::NeverBuilt, |case| case.recorded = None);
    check(Reason::NeverBuilt, |case| case.version = None);
    check(Reason::NeverBuilt, |case| case.version = Some(3));
    check(Reason::NeverBuilt, |case| {
        last(case, failed());
        case.recorded.as_mut().unwrap().version = None;
    });
    check(Reason::Vanished { version: version(4), is_table: true }, |case| {
        (case.recorded, case.version, case.vanished) = (None, None, Some(4));
    });
    check(Reason::UpToDate, |case| case.version = Some(5));
    check(Reason::DefinitionChanged, |case| {
        case.recorded.as_mut().unwrap().fingerprint = Fingerprint::new([2; 32]);
    });
    let unreadable = || Reason::Unreadable { because: "the log is cut".into() };
    check(unreadable(), |case| (case.unreadable, case.input) = (Some("the log is cut"), Some(8)));
    check(Reason::NeverBuilt, |case| (case.unreadable, case.recorded) = (Some("the log is cut"), None));
    check(new_input(), |case| case.input = Some(8));
    check(new_input(), |case| case.input = None);
    check(new_input(), |case| case.changing = true);
    check(because("disk full"), |case| last(case, failed()));
    check(because("12 % rejected"), |case| last(case, halted()));
    check(new_input(), |case| {
        last(case, failed());
        case.input = Some(8);
    });
    check(Reason::Partitions { open: 3 }, |case| (case.partitions_open, case.overdue) = (3, true));
    check(new_input(), |case| (case.partitions_open, case.input) = (3, Some(8)));
    check(Reason::Stale, |case| case.overdue = true);
    check(new_input(), |case| (case.overdue, case.changing) = (true, true));
    check(because("12 % rejected"), |case| {
        last(case, halted());
        case.overdue = true;
    });
}

#[test]
fn what_is_new_beside_the_inputs_is_a_new_input() {
    let source = facts("bronze.a: source");
    let recorded = Recorded { input_versions: [].into(), ..recorded() };
    let decide_with = |parts: &[String]| {
        let now = Now {
            version: Some(version(4)),
            inputs: &[],
            parts,
            force: false,
            vanished: None,
            unreadable: None,
            overdue: false,
            partitions_open: 0,
        };
        decide(&source, Some(&recorded), &now)
    };
    let waiting = ["orders-2.csv".to_owned()];
    assert_eq!(decide_with(&[]), Reason::UpToDate);
    assert_eq!(decide_with(&waiting), Reason::NewInput { from: waiting.to_vec() });
}

#[test]
fn a_view_never_runs() {
    let view = facts("silver.v: view <- bronze.a");
    let now = Now {
        version: None,
        inputs: &[],
        parts: &[],
        force: true,
        vanished: None,
        unreadable: None,
        overdue: false,
        partitions_open: 0,
    };
    assert_eq!(decide(&view, None, &now), Reason::UpToDate);
}

#[test]
fn many_inputs_are_counted_not_listed() {
    let from = (1..=5).map(|n| format!("part-{n}.csv")).collect();
    let text = Reason::NewInput { from }.to_string();
    assert_eq!(text, "new input: part-1.csv, part-2.csv, part-3.csv and 2 more");
}
