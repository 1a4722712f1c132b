//! Projects for tests, written down in short.

use std::{collections::BTreeMap, num::NonZeroU64};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use indexmap::IndexMap;
use millstream_project::{
    ColumnSpec, ConnectorSpec, ContractSpec, DeduplicateSpec, Diagnostic, Evolution, FileId, Grain,
    HiddenValues, IncrementalSpec, LandingMode, Located, Location, Materialize, Node, NodeKind, SourceSpec,
    StreamSpec, TableSpec,
};
use millstream_sql::{Analysis, analyze, type_name};
use millstream_types::{Severity, SourceName, Span, TableName};

/// Where the SQL starts in its file, so that a forgotten offset shows.
pub(crate) const SQL_START: usize = 1000;

pub(crate) struct Project {
    pub(crate) sources: Vec<SourceSpec>,
    pub(crate) tables: Vec<TableSpec>,
}

impl Project {
    pub(crate) fn analyze(&self) -> Analysis {
        analyze(&self.sources, &self.tables)
    }
}

pub(crate) fn nowhere() -> Location {
    Location { file: FileId(0), start: 0, end: 0 }
}

pub(crate) fn located<T>(value: T) -> Located<T> {
    Located::new(value, nowhere())
}

pub(crate) fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

/// A source whose columns are given as pairs of name and type.
pub(crate) fn source(name: &str, columns: &[(&str, &str)]) -> SourceSpec {
    let column = |(name, column_type): &(&str, &str)| {
        let spec = ColumnSpec {
            name: (*name).into(),
            at: nowhere(),
            column_type: column_type.parse().unwrap(),
            description: None,
            pii: false,
        };
        ((*name).to_owned(), spec)
    };
    SourceSpec {
        name: SourceName::new(name).unwrap(),
        at: nowhere(),
        description: None,
        owner: None,
        tags: Vec::new(),
        connector: ConnectorSpec {
            kind: located("files".into()),
            options: Node { kind: NodeKind::Null, at: nowhere() },
            has_gap: false,
            connection: None,
            secrets: HiddenValues::default(),
        },
        schedule: None,
        steps: Default::default(),
        landing: LandingMode::Append,
        on_lost_position: Default::default(),
        contract: ContractSpec {
            columns: columns.iter().map(column).collect::<IndexMap<_, _>>(),
            key: Vec::new(),
            time: None,
            evolution: Evolution::Freeze,
            freshness: None,
            checks: Vec::new(),
            on_violation: Severity::Quarantine,
            halt_above: None,
            halt_window: None,
            future: None,
        },
    }
}

/// The sources of the shop.
pub(crate) fn shop() -> Vec<SourceSpec> {
    vec![
        source(
            "customers",
            &[
                ("customer_id", "int64"),
                ("email", "string"),
                ("country", "string"),
                ("created_at", "timestamp"),
            ],
        ),
        source(
            "events",
            &[
                ("event_id", "string"),
                ("customer_id", "int64"),
                ("kind", "string"),
                ("tags", "list<string>"),
                ("at", "timestamp"),
            ],
        ),
        source(
            "orders",
            &[
                ("order_id", "int64"),
                ("customer_id", "int64"),
                ("amount", "decimal(12,2)"),
                ("status", "string"),
                ("quantity", "int32"),
                ("ordered_at", "timestamp"),
            ],
        ),
    ]
}

/// Tables written as `--- silver.orders materialize=merge key=order_id`, then SQL.
pub(crate) fn tables(text: &str) -> Vec<TableSpec> {
    let mut specs = Vec::new();
    for (index, part) in text.split("--- ").skip(1).enumerate() {
        let (header, sql) = part.split_once('\n').unwrap();
        let mut words = header.split_whitespace();
        let name = words.next().unwrap();
        let options: BTreeMap<_, _> = words.map(|word| word.split_once('=').unwrap()).collect();
        specs.push(table(name, &options, sql, FileId(u32::try_from(index + 1).unwrap())));
    }
    specs
}

fn table(name: &str, options: &BTreeMap<&str, &str>, sql: &str, file: FileId) -> TableSpec {
    let at = |text: &str| Located::new(text.to_owned(), Location { file, start: 10, end: 10 + text.len() });
    let key = || options.get("key").map(|key| key.split(',').map(at).collect::<Vec<_>>()).unwrap_or_default();
    let time = || options.get("time").map(|time| at(time));
    let materialize = match options.get("materialize").copied().unwrap_or("table") {
        "view" => Materialize::View,
        "table" => Materialize::Table,
        "append" => Materialize::Incremental(IncrementalSpec::Append),
        "merge" => Materialize::Incremental(IncrementalSpec::Merge { key: key() }),
        "partition" => {
            Materialize::Incremental(IncrementalSpec::Partition { time: time().unwrap(), grain: Grain::Day })
        }
        "history" => Materialize::History { key: key(), time: time() },
        "stream" => Materialize::Stream(stream(options, key())),
        other => panic!("unknown materialize {other}"),
    };
    TableSpec {
        name: name.parse().unwrap(),
        at: Location { file, start: 0, end: 0 },
        description: None,
        owner: None,
        tags: Vec::new(),
        schedule: None,
        steps: Default::default(),
        materialize,
        partition: None,
        parameters: Vec::new(),
        needs: Vec::new(),
        checks: Vec::new(),
        on_violation: Severity::Warn,
        halt_above: None,
        sql: Located::new(sql.to_owned(), Location { file, start: SQL_START, end: SQL_START + sql.len() }),
    }
}

/// A continuous table: `disorder=2s lateness=10s by=event_id within=1m`.
fn stream(options: &BTreeMap<&str, &str>, key: Vec<Located<String>>) -> StreamSpec {
    let span = |name: &str, otherwise: &str| match *options.get(name).unwrap_or(&otherwise) {
        "0s" => Span::from_ms(0),
        text => text.parse().unwrap(),
    };
    StreamSpec {
        key,
        disorder: span("disorder", "5s"),
        lateness: span("lateness", "0s"),
        idle_after: None,
        deduplicate: options.get("by").map(|by| DeduplicateSpec {
            by: by.split(',').map(|name| located(name.to_owned())).collect(),
            within: span("within", "1m"),
        }),
        commit_every: span("every", "10s"),
        commit_rows: NonZeroU64::new(1_000).unwrap(),
    }
}

pub(crate) fn project(text: &str) -> Project {
    Project { sources: shop(), tables: tables(text) }
}

/// Diagnostics as a person reads them, with the underlined text.
pub(crate) fn render(diagnostics: &[Diagnostic], tables: &[TableSpec]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let at = diagnostic.at.unwrap();
        let table = tables.iter().find(|table| table.sql.at.file == at.file);
        let place = match table {
            Some(table) if at.start >= SQL_START => {
                let sql = &table.sql.value;
                let (start, end) = (at.start - SQL_START, at.end - SQL_START);
                let line = sql[..start].matches('\n').count() + 1;
                let column = start - sql[..start].rfind('\n').map_or(0, |newline| newline + 1) + 1;
                format!("{} {line}:{column} `{}`", table.name, &sql[start..end])
            }
            Some(table) => format!("{} header", table.name),
            None => format!("source {}..{}", at.start, at.end),
        };
        text += &format!("{} {}\n  at {place}\n", diagnostic.code, diagnostic.message);
        if let Some(label) = &diagnostic.label {
            text += &format!("  label: {label}\n");
        }
        if let Some(hint) = &diagnostic.hint {
            text += &format!("  hint: {hint}\n");
        }
    }
    text
}

pub(crate) fn describe(schema: &SchemaRef) -> String {
    let fields =
        schema.fields().iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type())));
    fields.collect::<Vec<_>>().join(", ")
}

pub(crate) fn pretty(batches: &[RecordBatch]) -> String {
    arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string()
}
