//! `sources/*.yaml`: connector, schedule, contract; for each table of its own where there are several.

use indexmap::IndexMap;
use millstream_types::{
    COLUMN_NAME_RULE, ColumnType, LANDING_COLUMNS, Severity, SourceName, is_column_name, unfit_member,
};

use super::{
    Context,
    check::{Beside, CheckReader},
    check_body,
    columns::{ColumnChecker, Known},
    landing,
    schedule::{Owner, schedule},
    steps::{WrittenSteps, steps},
    tables::{self, FindTables},
};
use crate::{
    Bounds, CheckKind, CheckSpec, ColumnSpec, ConnectionSpec, ConnectorSpec, ContractSpec, Diagnostic,
    LandingMode, Located, Location, LostPosition, Node, NodeKind, SourceSpec, codes,
    file::{self, ColumnFile, ConnectorFile, ContractFile, SourceOfTablesFile},
    variables, words,
};

/// The kinds of connectors that know the columns of what they read, whatever the place.
const GIVE_CONTRACT: [&str; 1] = ["otlp"];

/// What one file of `sources/` defines.
#[derive(Default)]
pub(crate) struct DefinedSources {
    /// The names of its sources, those with faults included.
    pub(crate) names: Vec<SourceName>,
    pub(crate) specs: Vec<SourceSpec>,
}

/// Reads one file: a source of the file's name, or one for each of its tables.
pub(crate) fn sources(
    context: &Context<'_>,
    name: SourceName,
    mut node: Node,
    connections: &[ConnectionSpec],
    find: FindTables<'_>,
) -> DefinedSources {
    if let NodeKind::Map(entries) = &mut node.kind {
        let connectors = entries.iter_mut().filter(|(key, _)| key.value == "connector");
        connectors.for_each(|(_, node)| variables::refuse_in_type(node, context.text, context.faults));
    }
    variables::substitute(&mut node, context.text, context.values, context.faults);
    if is_given(&node, "tables") {
        return many(context, &name, &node, connections, find);
    }
    let specs = one(context, name.clone(), &node).into_iter().collect();
    DefinedSources { names: vec![name], specs }
}

/// The sources of a file with `tables`.
fn many(
    context: &Context<'_>,
    stem: &SourceName,
    node: &Node,
    connections: &[ConnectionSpec],
    find: FindTables<'_>,
) -> DefinedSources {
    let mut found = DefinedSources::default();
    let file: Option<SourceOfTablesFile> = context.faults.decode_at(node, context.start());
    let Some(file) = file else { return found };
    require(context, node, "connector", file.connector.is_none());
    let schedule = schedule(context, file.schedule.as_ref(), Owner::Source);
    let steps = steps(
        context,
        &WrittenSteps {
            retry: file.retry.as_ref(),
            timeout: file.timeout.as_ref(),
            set_aside_after: file.set_aside_after.as_ref(),
            sla: file.sla.as_ref(),
        },
    );
    let connector = file.connector.and_then(|file| connector(context, file));
    let find = || match &connector {
        Some(connector) => find(connector, connections),
        // What is wrong with the connector is reported already.
        None => Ok(Vec::new()),
    };
    let entries = Located::new(file.tables.value.0, file.tables.at);
    let is_placed = connector.as_ref().is_none_or(|it| it.has_gap || tables::has_place(&it.options));
    if let (false, Some(connector)) = (is_placed, &connector) {
        let message = "the options do not say where the name of a table stands";
        let hint = "write `{table}` in its place, as in `path: exports/{table}/*.csv`";
        context.error(codes::WRONG_TABLES, message, connector.options.at, hint);
        return found;
    }
    for table in tables::tables(context, stem.as_str(), entries, &find) {
        let Some(name) = &table.name else { continue };
        found.names.push(name.clone());
        let own = table.own.contract.as_ref();
        let Some(written) = tables::contract(file.contract.as_ref(), own) else {
            let message = format!("the table `{}` has no contract", table.key);
            let hint = "add `contract: …` to the table, or one for all beside `tables`";
            context.error(codes::MISSING_KEY, message, table.key.at, hint);
            continue;
        };
        let contract_file: Option<Located<ContractFile>> = context.faults.decode_at(&written, table.key.at);
        let key = contract_file.as_ref().and_then(|contract| contract.key.as_ref());
        let is_faulty = contract_file.is_none() || context.faults.has_gap_in(written.at);
        let landing = table.own.landing.as_ref().or(file.landing.as_ref());
        let landing = landing::mode(context, landing, key, is_faulty);
        let contract = contract_file.map(|file| contract(context, file, landing));
        let (Some(connector), Some(contract)) = (&connector, contract) else { continue };
        let tags = file.tags.0.iter().chain(&table.own.tags.0).cloned().collect();
        found.specs.push(SourceSpec {
            name: name.clone(),
            at: table.key.at,
            description: table.own.description.clone().or_else(|| file.description.clone()),
            owner: table.own.owner.clone().or(file.owner.clone()).or(context.defaults.owner.clone()),
            tags: context.defaults.with_tags(tags),
            connector: tables::connector(connector, &table),
            schedule: schedule.clone(),
            steps: steps.clone(),
            landing,
            on_lost_position: lost_position(file.on_lost_position.as_ref()),
            contract,
        });
    }
    found
}

fn is_given(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(|value| !matches!(value.kind, NodeKind::Null))
}

/// Reports a key that is missing. A faulty value is absent too, but its fault is reported already.
fn require(context: &Context<'_>, node: &Node, key: &str, is_absent: bool) {
    if is_absent && !is_given(node, key) {
        let hint = format!("add `{key}: …`");
        context.error(codes::MISSING_KEY, format!("`{key}` is missing"), context.start(), hint);
    }
}

/// Reads one source. `None` when nothing can be made of the file.
fn one(context: &Context<'_>, name: SourceName, node: &Node) -> Option<SourceSpec> {
    let file: file::SourceFile = context.faults.decode_at(node, context.start())?;
    require(context, node, "connector", file.connector.is_none());
    let gives_contract = file.connector.as_ref().is_some_and(|file| gives_contract(&file.0));
    require(context, node, "contract", file.contract.is_none() && !gives_contract);
    let schedule = schedule(context, file.schedule.as_ref(), Owner::Source);
    let steps = steps(
        context,
        &WrittenSteps {
            retry: file.retry.as_ref(),
            timeout: file.timeout.as_ref(),
            set_aside_after: file.set_aside_after.as_ref(),
            sla: file.sla.as_ref(),
        },
    );
    let key = file.contract.as_ref().and_then(|contract| contract.key.as_ref());
    let is_faulty = file.contract.as_ref().is_none_or(|contract| context.faults.has_gap_in(contract.at));
    let landing = landing::mode(context, file.landing.as_ref(), key, is_faulty);
    let contract = file.contract.map(|file| contract(context, file, landing));
    let connector = file.connector.and_then(|file| connector(context, file));
    Some(SourceSpec {
        name,
        at: context.start(),
        description: file.description,
        owner: file.owner.or_else(|| context.defaults.owner.clone()),
        tags: context.defaults.with_tags(file.tags.0),
        connector: connector?,
        schedule,
        steps,
        landing,
        on_lost_position: lost_position(file.on_lost_position.as_ref()),
        contract: contract.or_else(|| gives_contract.then(|| without_columns(context)))?,
    })
}

/// Whether the connector says itself what its rows are, so that the file need not.
fn gives_contract(connector: &Node) -> bool {
    let kind = connector.get("type").map(|kind| &kind.kind);
    matches!(kind, Some(NodeKind::Text(kind)) if GIVE_CONTRACT.contains(&kind.as_str()))
}

/// The contract of a source whose connector names the columns.
fn without_columns(context: &Context<'_>) -> ContractSpec {
    ContractSpec {
        columns: Default::default(),
        key: Vec::new(),
        time: None,
        evolution: Default::default(),
        freshness: None,
        checks: Vec::new(),
        on_violation: context.defaults.on_violation,
        halt_above: context.defaults.halt_above,
        halt_window: None,
        future: None,
    }
}

fn lost_position(written: Option<&Located<LostPosition>>) -> LostPosition {
    written.map(|written| written.value).unwrap_or_default()
}

fn connector(context: &Context<'_>, ConnectorFile(node): ConnectorFile) -> Option<ConnectorSpec> {
    let at = node.at;
    let NodeKind::Map(entries) = node.kind else {
        let message = format!("expected a mapping, found {}", node.describe());
        context.error(codes::WRONG_KIND, message, at, "write `{type: files, path: data/*.csv}`");
        return None;
    };
    let (kinds, options): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.value == "type");
    let (connections, options): (Vec<_>, Vec<_>) =
        options.into_iter().partition(|(key, _)| key.value == "connection");
    let connection = connections.into_iter().find(|(_, value)| !matches!(value.kind, NodeKind::Null));
    let connection = connection.and_then(|(key, value)| context.faults.decode_at(&value, key.at));
    let options = Node { kind: NodeKind::Map(options), at };
    match kinds.into_iter().next() {
        Some((key, kind)) => {
            let kind = context.faults.decode_at(&kind, key.at)?;
            Some(ConnectorSpec {
                kind,
                connection,
                options,
                has_gap: context.faults.has_gap_in(at),
                secrets: context.faults.secrets(),
            })
        }
        None => {
            if !context.faults.has_gap_in(at) {
                context.error(
                    codes::MISSING_KEY,
                    "`type` is missing",
                    at,
                    "name the connector: `type: files`",
                );
            }
            None
        }
    }
}

fn contract(context: &Context<'_>, written: Located<ContractFile>, landing: LandingMode) -> ContractSpec {
    let Located { value: file, at } = written;
    let on_violation = file.on_violation.unwrap_or(context.defaults.on_violation);
    let mut checks = CheckReader::new(*context, on_violation);
    let columns_at = file.columns.at;
    let names: Vec<Located<String>> = file.columns.0.iter().map(|(name, _)| name.clone()).collect();
    let columns = columns(context, &mut checks, file.columns);
    file.checks.iter().for_each(|item| checks.item(item));

    let written = file.freshness.map(|freshness| (freshness.value.0, freshness.at));
    let given = written.map(|(_, at)| at);
    let freshness =
        written.or_else(|| context.defaults.freshness.map(|age| (age, Location { end: at.start, ..at })));
    if let Some((age_max, at)) = freshness {
        let severity = if on_violation == Severity::Halt { Severity::Halt } else { Severity::Warn };
        let beside = Beside { severity: Some(Located::new(severity, at)), name: None };
        checks.add(CheckKind::Freshness { column: file.time.clone(), age_max }, &beside, false, at);
    }
    let mut checks = checks.finish();
    let is_faulty = context.faults.has_gap_in(at);
    for check in checks.iter_mut().filter(|check| is_without_column(check)) {
        match &file.time {
            Some(time) => judge_time(check, time),
            // Where a source names no time, the project's own bound on freshness counts from the last landing.
            None if freshness.is_some_and(|(_, at)| at == check.at) && given.is_none() => {}
            None if is_faulty => {}
            None => context.error(
                codes::WRONG_TIME_COLUMN,
                "nothing says when a row happened, so its freshness cannot be judged",
                check.at,
                "name the column: `time: …` in the contract, or `freshness: {column: …, max_age: 1d}`",
            ),
        }
    }

    let name_texts: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
    let has_gap = context.faults.has_gap_in(columns_at);
    // Columns whose values are faulty are missing from `name_texts`, but stand in the text.
    let is_written = |name: &str| {
        context.text.get(columns_at.start..columns_at.end).is_none_or(|text| text.contains(name))
    };
    let is_column = |name: &str| name_texts.contains(&name) || has_gap && is_written(name);
    let lookup = |name: &str| match columns.get(name) {
        Some(column) => Known::Type(&column.column_type),
        None if is_column(name) => Known::Untyped,
        None => Known::Absent,
    };
    let promise = landing::Promise { mode: landing, names: &name_texts, is_column: &is_column, on_violation };
    let key = landing::key(context, file.key, &promise, &mut checks);
    let mut diagnostics = Vec::new();
    let mut checker = ColumnChecker { names: &name_texts, diagnostics: &mut diagnostics };
    if let Some(time) = &file.time {
        checker.time(time, &lookup);
    }
    for check in &checks {
        // The contract's own freshness looks at `time`, which is judged above.
        if !matches!(&check.kind, CheckKind::Freshness { column: Some(column), .. } if Some(column.at) == file.time.as_ref().map(|time| time.at))
        {
            checker.check(check, &lookup);
        }
    }
    diagnostics.into_iter().for_each(|diagnostic| context.faults.push(diagnostic));
    ContractSpec {
        columns,
        key,
        time: file.time,
        evolution: file.evolution.unwrap_or_default(),
        freshness: freshness.map(|(age, _)| age),
        checks,
        on_violation,
        halt_above: file.halt_above.map(|share| share.0).or(context.defaults.halt_above),
        halt_window: file.halt_window.map(|window| window.0),
        future: file.future.map(|ahead| ahead.0),
    }
}

fn is_without_column(check: &CheckSpec) -> bool {
    matches!(check.kind, CheckKind::Freshness { column: None, .. })
}

fn judge_time(check: &mut CheckSpec, time: &Located<String>) {
    if let CheckKind::Freshness { column, .. } = &mut check.kind {
        *column = Some(time.clone());
    }
}

/// The columns whose types are known; their checks go to `checks`.
fn columns(
    context: &Context<'_>,
    checks: &mut CheckReader<'_>,
    written: Located<crate::decode::Entries<ColumnFile>>,
) -> IndexMap<String, ColumnSpec> {
    if written.0.is_empty() && !context.faults.has_gap_in(written.at) {
        let hint = "list the columns: `order_id: {type: int64}`";
        context.error(codes::WRONG_COLUMNS, "the contract has no columns", written.at, hint);
    }
    let mut columns: IndexMap<String, ColumnSpec> = IndexMap::new();
    for (name, file) in written.value.0 {
        let twin = columns.keys().find(|given| given.to_lowercase() == name.to_lowercase());
        if name.trim().is_empty() {
            context.error(codes::WRONG_COLUMNS, "a column without a name", name.at, "name the column");
        } else if LANDING_COLUMNS.contains(&name.to_lowercase().as_str()) {
            let hint = "landing adds this column itself; choose another name";
            context.error(codes::RESERVED_COLUMN, format!("`{name}` is a reserved name"), name.at, hint);
            continue;
        } else if let Some(twin) = twin {
            let message = format!("`{name}` and `{twin}` differ only in upper and lower case");
            context.error(codes::WRONG_COLUMNS, message, name.at, "tables cannot hold both; rename one");
        }
        if !name.trim().is_empty() && !is_column_name(&name) {
            let message = format!("`{}` is a name that tables cannot hold", name.escape_debug());
            let way_out =
                "list the column under another name, and give it that name with the connector's `rename`";
            context.error(codes::WRONG_COLUMNS, message, name.at, format!("{COLUMN_NAME_RULE}; {way_out}"));
        }
        column_checks(context, checks, &name, &file);
        if let Some(column_type) = column_type(context, &file.column_type) {
            if let Some(reason) = unfit_member(&column_type) {
                let hint = "with `type: string` the column lands as JSON, whatever its members are named";
                context.error(codes::WRONG_COLUMNS, reason, file.column_type.at, hint);
            }
            let ColumnFile { description, pii, .. } = file;
            let spec = ColumnSpec { name: name.value.clone(), at: name.at, column_type, description, pii };
            columns.insert(name.value, spec);
        }
    }
    columns
}

/// The type that a text names; reports a text that names none.
pub(super) fn column_type(context: &Context<'_>, written: &Located<String>) -> Option<ColumnType> {
    match written.parse() {
        Ok(column_type) => Some(column_type),
        Err(error) => {
            let error: millstream_types::ColumnTypeError = error;
            let mut diagnostic = Diagnostic::error(codes::WRONG_COLUMN_TYPE, error.to_string(), written.at);
            diagnostic.hint = Some(match foreign_type(&written.to_lowercase()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => words::hint(written, ColumnType::known_names().iter().copied())
                    .unwrap_or_else(|| "write one of the known types".into()),
            });
            context.faults.push(diagnostic);
            None
        }
    }
}

/// What other tools call our types.
fn foreign_type(word: &str) -> Option<&'static str> {
    Some(match word {
        "integer" | "int4" => "int32",
        "long" | "bigint" | "int8" => "int64",
        "smallint" | "short" => "int16",
        "tinyint" | "byte" => "int8",
        "float" | "real" => "float32",
        "number" | "numeric" | "decimal" => "decimal(12,2)",
        "str" | "varchar" | "char" | "utf8" | "uuid" | "json" => "string",
        "datetime" | "timestamptz" | "time" => "timestamp",
        "bytes" | "blob" | "bytea" => "binary",
        "array" | "list" => "list<string>",
        "struct" | "object" | "map" => "struct<name: string>",
        _ => return None,
    })
}

/// The checks that a column's own keys stand for.
fn column_checks(
    context: &Context<'_>,
    checks: &mut CheckReader<'_>,
    name: &Located<String>,
    file: &ColumnFile,
) {
    let column = || name.clone();
    let severity = file.severity.map(|severity| Located::new(severity, name.at));
    let beside = Beside { severity, name: None };
    let mut add = |kind: CheckKind, at: Location| checks.add(kind, &beside, false, at);
    if let Some(required) = file.required.as_ref().filter(|required| required.value) {
        add(CheckKind::NotNull { column: column() }, required.at);
    }
    if let Some(unique) = file.unique.as_ref().filter(|unique| unique.value) {
        add(CheckKind::Unique { columns: vec![column()] }, unique.at);
    }
    if let Some(range) = &file.range {
        let sides = range.value.clone();
        if let Some(bounds) = check_body::scalar_bounds(context, sides.min, sides.max, (range.at, range.at)) {
            add(CheckKind::Range { column: column(), bounds }, range.at);
        }
    }
    if let Some(length) = &file.length {
        let sides = length.value.clone();
        if let Some(bounds) = check_body::bounds(context, sides.min, sides.max, (length.at, length.at)) {
            let bounds: Bounds<u64> = bounds;
            add(CheckKind::Length { column: column(), bounds }, length.at);
        }
    }
    if let Some(one_of) = &file.one_of
        && let Some(values) = check_body::one_of(context, one_of.clone())
    {
        add(CheckKind::OneOf { column: column(), values }, one_of.at);
    }
    if let Some(written) = &file.pattern
        && let Some(pattern) = check_body::pattern(context, written)
    {
        add(CheckKind::Pattern { column: column(), pattern }, written.at);
    }
    if let Some(relation) = &file.relationship
        && let Some(kind) = check_body::relationship(context, column(), &relation.to)
    {
        add(kind, relation.at);
    }
}
