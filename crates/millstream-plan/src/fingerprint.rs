//! Hashes of definitions: equal meaning, equal fingerprint.
//!
//! What people write for people does not count (descriptions, owners, tags, comments, order of keys), nor does what
//! only says when something runs (schedules) or how it is shown (`pii`).

use millstream_project::{
    AsKnown, Bounds, CheckKind, CheckSpec, ConnectionSpec, DatasetSpec, Grain, HiddenValues, IncrementalSpec,
    LabelOrigin, LandingMode, Located, Materialize, NamedPattern, Node, NodeKind, PartitionBy, Pattern,
    Scalar, SourceSpec, SplitBy, SplitSpec, TableSpec,
};
use millstream_types::{Fingerprint, Percent, Span, is_secret_name};
use serde_json::{Map, Value, json};

/// Goes up when the canonical form changes in a way that must rebuild everything.
const VERSION: u32 = 1;

/// BLAKE3 over `value` with sorted keys. `domain` keeps equal JSON of different kinds apart.
#[must_use]
pub fn fingerprint(domain: &str, value: &Value) -> Fingerprint {
    let mut text = format!("millstream/{domain}/{VERSION}\n");
    write_canonical(value, &mut text);
    Fingerprint::new(*blake3::hash(text.as_bytes()).as_bytes())
}

/// Connector with its options, those of the connection that it reads through, and the contract. Credentials do not count:
/// another password reads the same rows, and a hash that is kept could be used to guess it.
#[must_use]
pub fn source_fingerprint(source: &SourceSpec, connection: Option<&ConnectionSpec>) -> Fingerprint {
    let contract = &source.contract;
    let columns: Vec<Value> = contract
        .columns
        .values()
        .map(|column| json!([column.name, column.column_type.to_string()]))
        .collect();
    let connector = &source.connector;
    let mut canonical = json!({
        "connector": connector.kind.value,
        "options": options(&connector.options, &connector.secrets),
        "columns": columns,
        "time": contract.time.as_ref().map(|time| &time.value),
        "evolution": format!("{:?}", contract.evolution),
        "freshness": contract.freshness.map(|span| span.ms()),
        "checks": checks(&contract.checks),
        "on_violation": contract.on_violation.as_str(),
        "halt_above": percent(contract.halt_above),
    });
    if let Some(connection) = connection {
        canonical["connection"] = options(&connection.options, &connection.secrets);
    }
    // Sources that do not say so mean what they meant before it could be said.
    if let Some(future) = contract.future {
        canonical["future"] = future.ms().into();
    }
    // Sources that append mean what they meant before there was another way.
    if source.landing == LandingMode::Merge {
        canonical["merge"] = names(&contract.key).into();
    }
    fingerprint("source", &canonical)
}

/// The logical plan's fingerprint, the materialisation, the checks, and the fingerprints of the views that
/// the table reads. For a view the checks do not count, because they do not change what its readers get.
#[must_use]
pub fn table_fingerprint(table: &TableSpec, plan: &Fingerprint, views: &[Fingerprint]) -> Fingerprint {
    let is_view = table.materialize.is_view();
    let mut views: Vec<String> = views.iter().map(Fingerprint::to_string).collect();
    views.sort_unstable();
    views.dedup();
    let mut canonical = json!({
        "plan": plan.to_string(),
        "views": views,
        "materialize": materialize(&table.materialize),
        "checks": if is_view { Value::Null } else { checks(&table.checks) },
        "on_violation": if is_view { Value::Null } else { table.on_violation.as_str().into() },
        "halt_above": if is_view { Value::Null } else { percent(table.halt_above) },
    });
    // Tables without partitions mean what they meant before there were any.
    if let Some(partition) = &table.partition {
        let by = match &partition.by {
            PartitionBy::Time(calendar) => calendar.to_string(),
            PartitionBy::Value => "value".to_owned(),
        };
        let from = partition.from.as_ref().map(|from| from.value);
        canonical["partition"] = json!([by, partition.column.value, from]);
    }
    fingerprint("table", &canonical)
}

/// What decides on a dataset's rows and values beside its inputs. `service` stands for the features, `query` gives the labels
/// where no file does, `views` are the plans of the SQL views that both read.
#[must_use]
pub fn dataset_fingerprint(
    dataset: &DatasetSpec,
    service: &str,
    query: Option<&str>,
    views: &[String],
) -> Fingerprint {
    let labels = &dataset.labels;
    let origin = match &labels.origin {
        LabelOrigin::Table(table) => json!(["table", table.value.to_string()]),
        LabelOrigin::Sql(sql) => json!(["sql", sql.value.trim()]),
        LabelOrigin::File(path) => json!(["file", path.value]),
    };
    let keys: Vec<_> = labels.keys.iter().map(|(key, column)| json!([key, column.value])).collect();
    let as_known = dataset.as_known.as_ref().map(|known| match &known.value {
        AsKnown::LabelTime => json!("label_time"),
        AsKnown::Column(column) => json!(["column", column]),
        AsKnown::At(at) => json!(["at", at.0]),
    });
    let encode: Vec<_> =
        dataset.encode.iter().map(|one| json!([one.column.value, one.value.to_json()])).collect();
    fingerprint(
        "dataset",
        &json!({
            "labels": origin,
            "query": query,
            "entities": names(&labels.entities),
            "keys": keys,
            "time": labels.time.value,
            "columns": labels.columns.as_deref().map(names),
            "service": service,
            "views": views,
            "as_known": as_known,
            "embargo": dataset.embargo.map(|span| span.ms()),
            "split": dataset.split.as_ref().map(|split| split_of(&split.value)),
            "encode": encode,
        }),
    )
}

fn split_of(split: &SplitSpec) -> Value {
    let by = match split.by {
        SplitBy::Time => "time",
        SplitBy::Hash => "hash",
        SplitBy::Random => "random",
    };
    json!([
        by,
        split.train.fraction(),
        percent(split.validation),
        percent(split.test),
        split.seed,
        split.entity.as_ref().map(|entity| &entity.value),
    ])
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, member) in members {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(member, out);
                out.push(',');
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// The options without their credentials.
fn options(node: &Node, secrets: &HiddenValues) -> Value {
    match &node.kind {
        NodeKind::Null => Value::Null,
        NodeKind::Bool(value) => (*value).into(),
        NodeKind::Int(value) => (*value).into(),
        NodeKind::Float(value, _) => json!(value),
        NodeKind::Text(text) => secrets.left_out_of(text).into(),
        NodeKind::List(items) => items.iter().map(|item| options(item, secrets)).collect(),
        NodeKind::Map(members) => {
            let open = members.iter().filter(|(key, _)| !is_secret_name(key));
            let open = open.map(|(key, member)| (key.value.clone(), options(member, secrets)));
            Value::Object(open.collect::<Map<_, _>>())
        }
    }
}

fn materialize(materialize: &Materialize) -> Value {
    match materialize {
        Materialize::View => json!({"kind": "view"}),
        Materialize::Table => json!({"kind": "table"}),
        Materialize::Incremental(IncrementalSpec::Append) => json!({"kind": "append"}),
        Materialize::Incremental(IncrementalSpec::Merge { key }) => {
            json!({"kind": "merge", "key": names(key)})
        }
        Materialize::Incremental(IncrementalSpec::Partition { time, grain }) => {
            let grain = match grain {
                Grain::Hour => "hour",
                Grain::Day => "day",
                Grain::Month => "month",
                Grain::Year => "year",
            };
            json!({"kind": "partition", "time": time.value, "grain": grain})
        }
        Materialize::History { key, time } => {
            json!({"kind": "history", "key": names(key), "time": time.as_ref().map(|time| &time.value)})
        }
        // When results are committed changes none of them.
        Materialize::Stream(stream) => json!({
            "kind": "stream",
            "key": names(&stream.key),
            "disorder": stream.disorder.ms(),
            "lateness": stream.lateness.ms(),
            "idle_after": stream.idle_after.map(Span::ms),
            "deduplicate": stream.deduplicate.as_ref().map(|same| json!([names(&same.by), same.within.ms()])),
        }),
    }
}

fn checks(checks: &[CheckSpec]) -> Value {
    checks
        .iter()
        .map(|check| json!([check.id.as_str(), check.severity.as_str(), check_kind(&check.kind)]))
        .collect()
}

fn check_kind(kind: &CheckKind) -> Value {
    match kind {
        CheckKind::NotNull { column } => json!(["not_null", column.value]),
        CheckKind::Unique { columns } => json!(["unique", names(columns)]),
        CheckKind::Range { column, bounds } => json!(["range", column.value, bounds_of(bounds, scalar)]),
        CheckKind::Length { column, bounds } => {
            json!(["length", column.value, bounds_of(bounds, |n| (*n).into())])
        }
        CheckKind::OneOf { column, values } => {
            json!(["one_of", column.value, values.iter().map(scalar).collect::<Value>()])
        }
        CheckKind::Pattern { column, pattern } => json!(["pattern", column.value, self::pattern(pattern)]),
        CheckKind::Relationship { column, to_table, to_column } => {
            json!(["relationship", column.value, to_table.to_string(), to_column])
        }
        CheckKind::Expression { sql } => json!(["expression", sql.trim()]),
        CheckKind::RowCount { bounds, change_max } => {
            json!(["row_count", bounds_of(bounds, |n| (*n).into()), percent(*change_max)])
        }
        CheckKind::Freshness { column, age_max } => {
            json!(["freshness", column.as_ref().map(|column| &column.value), age_max.ms()])
        }
        CheckKind::Completeness { column, min } => json!(["completeness", column.value, min.fraction()]),
        CheckKind::DistinctCount { column, bounds } => {
            json!(["distinct_count", column.value, bounds_of(bounds, |n| (*n).into())])
        }
        CheckKind::Mean { column, bounds } => json!(["mean", column.value, bounds_of(bounds, |n| json!(n))]),
        CheckKind::Quantile { column, quantile, bounds } => {
            json!(["quantile", column.value, quantile, bounds_of(bounds, |n| json!(n))])
        }
    }
}

fn bounds_of<T>(bounds: &Bounds<T>, value: impl Fn(&T) -> Value) -> Value {
    json!([bounds.min.as_ref().map(&value), bounds.max.as_ref().map(&value)])
}

fn scalar(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Bool(value) => (*value).into(),
        Scalar::Int(value) => (*value).into(),
        Scalar::Number(text) => json!({"number": text}),
        Scalar::Text(text) => text.as_str().into(),
    }
}

fn pattern(pattern: &Pattern) -> Value {
    match pattern {
        Pattern::Named(named) => match named {
            NamedPattern::Email => "email",
            NamedPattern::Uuid => "uuid",
            NamedPattern::Url => "url",
            NamedPattern::IsoDate => "iso_date",
            NamedPattern::Ipv4 => "ipv4",
            NamedPattern::Ipv6 => "ipv6",
            NamedPattern::Json => "json",
        }
        .into(),
        Pattern::Regex(regex) => json!({"regex": regex}),
    }
}

fn names(columns: &[Located<String>]) -> Vec<&str> {
    columns.iter().map(|column| column.value.as_str()).collect()
}

fn percent(share: Option<Percent>) -> Value {
    share.map_or(Value::Null, |share| json!(share.fraction()))
}
