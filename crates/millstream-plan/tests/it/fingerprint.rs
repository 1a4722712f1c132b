//! What changes a fingerprint, and what does not.

use indexmap::IndexMap;
use millstream_plan::{fingerprint, source_fingerprint, table_fingerprint};
use millstream_project::{
    Bounds, CheckKind, CheckSpec, ColumnSpec, ConnectionSpec, ConnectorSpec, ContractSpec, Evolution, FileId,
    HiddenValues, LandingMode, Located, Location, Materialize, Node, NodeKind, Scalar, ScheduleSpec,
    SourceSpec, TableSpec,
};
use millstream_schedule::{Schedule, Trigger};
use millstream_types::{CheckId, ColumnType, Fingerprint, Severity, SourceName, Span, TableName};
use serde_json::json;

fn at(place: usize) -> Location {
    Location { file: FileId(0), start: place, end: place }
}

fn located<T>(value: T) -> Located<T> {
    Located::new(value, at(0))
}

fn text(value: &str) -> Node {
    Node { kind: NodeKind::Text(value.into()), at: at(0) }
}

fn source() -> SourceSpec {
    let option = |key: &str, value: &str| (located(key.to_owned()), text(value));
    let options = vec![option("path", "data/*.csv"), option("delimiter", ";")];
    let column = |name: &str, column_type| ColumnSpec {
        name: name.into(),
        at: at(0),
        column_type,
        description: None,
        pii: false,
    };
    let columns = [column("id", ColumnType::Int64), column("email", ColumnType::String)];
    SourceSpec {
        name: SourceName::new("orders").unwrap(),
        at: at(0),
        description: None,
        owner: None,
        tags: vec![],
        connector: ConnectorSpec {
            kind: located("files".into()),
            options: Node { kind: NodeKind::Map(options), at: at(0) },
            has_gap: false,
            connection: None,
            secrets: HiddenValues::default(),
        },
        schedule: None,
        steps: Default::default(),
        landing: LandingMode::Append,
        on_lost_position: Default::default(),
        contract: ContractSpec {
            columns: columns
                .into_iter()
                .map(|column| (column.name.clone(), column))
                .collect::<IndexMap<_, _>>(),
            key: Vec::new(),
            time: None,
            evolution: Evolution::Freeze,
            freshness: None,
            checks: vec![CheckSpec {
                id: CheckId::new("range(id)"),
                severity: Severity::Quarantine,
                kind: CheckKind::Range {
                    column: located("id".into()),
                    bounds: Bounds { min: Some(Scalar::Int(0)), max: None },
                },
                at: at(0),
            }],
            on_violation: Severity::Quarantine,
            halt_above: None,
            halt_window: None,
            future: None,
        },
    }
}

fn table() -> TableSpec {
    TableSpec {
        name: TableName::new("silver", "orders").unwrap(),
        at: at(0),
        description: None,
        owner: None,
        tags: vec![],
        schedule: None,
        steps: Default::default(),
        materialize: Materialize::Table,
        partition: None,
        parameters: Vec::new(),
        needs: Vec::new(),
        checks: source().contract.checks,
        on_violation: Severity::Quarantine,
        halt_above: None,
        sql: located("SELECT 1".into()),
    }
}

fn each_millisecond() -> ScheduleSpec {
    ScheduleSpec {
        at: at(0),
        schedule: Schedule {
            priority: 5,
            pools: vec!["heavy".into()],
            ..Schedule::of(Trigger::Every(Span::from_ms(1)))
        },
        after: Vec::new(),
        pools: vec![located("heavy".into())],
        new_files: None,
    }
}

fn check_source(is_same: bool, change: impl FnOnce(&mut SourceSpec)) {
    let mut changed = source();
    change(&mut changed);
    assert_eq!(
        source_fingerprint(&changed, None) == source_fingerprint(&source(), None),
        is_same,
        "{changed:?}"
    );
}

const PLAN: Fingerprint = Fingerprint::new([3; 32]);

fn check_table(is_same: bool, change: impl FnOnce(&mut TableSpec)) {
    let mut changed = table();
    change(&mut changed);
    let print = |table: &TableSpec| table_fingerprint(table, &PLAN, &[]);
    assert_eq!(print(&changed) == print(&table()), is_same, "{changed:?}");
}

#[test]
fn a_source_is_its_connector_and_its_contract() {
    check_source(true, |source| source.description = Some("Orders".into()));
    check_source(true, |source| source.owner = Some("me".into()));
    check_source(true, |source| source.tags.push("daily".into()));
    check_source(true, |source| source.schedule = Some(each_millisecond()));
    check_source(true, |source| source.contract.columns[0].pii = true);
    check_source(true, |source| source.contract.checks[0].at = at(9));
    check_source(true, |source| {
        let NodeKind::Map(options) = &mut source.connector.options.kind else { panic!("a map") };
        options.reverse();
    });
    check_source(false, |source| source.connector.kind = located("http".into()));
    check_source(false, |source| source.connector.options = text("other"));
    check_source(false, |source| source.contract.columns[0].column_type = ColumnType::Int32);
    check_source(false, |source| source.contract.columns.reverse());
    check_source(false, |source| source.contract.checks.clear());
    check_source(false, |source| source.contract.checks[0].severity = Severity::Halt);
    check_source(false, |source| source.contract.halt_above = Some("5%".parse().unwrap()));
    check_source(false, |source| source.contract.evolution = Evolution::Widen);
    check_source(false, |source| source.landing = LandingMode::Merge);
    check_source(true, |source| source.contract.key = vec![located("id".into())]);
}

#[test]
fn credentials_do_not_count() {
    let with = |key: &str, value: &str| {
        let mut source = source();
        let option = (located(key.to_owned()), text(value));
        source.connector.options.kind = NodeKind::Map(vec![option]);
        source_fingerprint(&source, None)
    };
    assert_eq!(with("aws_secret_access_key", "one"), with("aws_secret_access_key", "two"));
    assert_eq!(with("url", "db://u:one@h/x"), with("url", "db://u:two@h/x"));
    assert_ne!(with("aws_region", "one"), with("aws_region", "two"));
    assert_ne!(with("url", "db://u:one@h/x"), with("url", "db://u:one@h/y"));
}

#[test]
fn a_source_is_its_connection_too() {
    let through = |path: &str, password: &str| {
        let options = [("path", path), ("password", password)];
        let options = options.map(|(key, value)| (located(key.to_owned()), text(value)));
        let connection = ConnectionSpec {
            name: "exports".into(),
            at: at(0),
            description: None,
            concurrency: None,
            retry_budget: None,
            circuit: Default::default(),
            kind: located("files".into()),
            options: Node { kind: NodeKind::Map(options.into()), at: at(0) },
            has_gap: false,
            secrets: HiddenValues::default(),
        };
        source_fingerprint(&source(), Some(&connection))
    };
    assert_eq!(through("a", "one"), through("a", "two"));
    assert_ne!(through("a", "one"), through("b", "one"));
    assert_ne!(through("a", "one"), source_fingerprint(&source(), None));
}

#[test]
fn a_table_is_its_plan_and_how_it_is_kept_and_checked() {
    check_table(true, |table| table.description = Some("Orders".into()));
    check_table(true, |table| table.schedule = Some(each_millisecond()));
    check_table(true, |table| table.sql = located("select 1 -- the same plan".into()));
    check_table(false, |table| table.checks.clear());
    check_table(false, |table| table.materialize = Materialize::History { key: vec![], time: None });
    let other = Fingerprint::new([4; 32]);
    assert_ne!(table_fingerprint(&table(), &PLAN, &[]), table_fingerprint(&table(), &other, &[]));
    assert_ne!(table_fingerprint(&table(), &PLAN, &[]), table_fingerprint(&table(), &PLAN, &[other]));
    assert_eq!(
        table_fingerprint(&table(), &PLAN, &[PLAN, other]),
        table_fingerprint(&table(), &PLAN, &[other, PLAN, other])
    );
}

#[test]
fn checks_of_a_view_do_not_rebuild_its_readers() {
    let view = TableSpec { materialize: Materialize::View, ..table() };
    let bare = TableSpec { checks: vec![], ..view.clone() };
    assert_eq!(table_fingerprint(&view, &PLAN, &[]), table_fingerprint(&bare, &PLAN, &[]));
}

#[test]
fn the_canonical_form_is_stable() {
    let print = fingerprint("sample", &json!({"b": [1, 2.5, null, true], "a": {"y": "\"", "x": ""}}));
    assert_eq!(print, fingerprint("sample", &json!({"a": {"x": "", "y": "\""}, "b": [1, 2.5, null, true]})));
    assert_ne!(print, fingerprint("other", &json!({"a": {"x": "", "y": "\""}, "b": [1, 2.5, null, true]})));
    // Written down: another value here rebuilds every table of every user.
    assert_eq!(print.to_string(), "e0fa719294bde865ab29f77d320d85c51b086f13dffedfa80c98ff69923bd26f");
}
