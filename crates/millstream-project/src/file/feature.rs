//! `features/*.yaml`.

use std::borrow::Cow;

use millstream_types::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    RetryFile, SlaFile, described,
    schedule::ScheduleValue,
    schema_text::{ColumnTypeText, SpanText},
    words,
};
use crate::{
    Located, Node, Scalar,
    decode::{Entries, OneOrMany, Written},
};

/// The keys that say what a feature is, and what each gives: a column of the newest row, or what is computed of the rows
/// in a window.
const KINDS: [(&str, &str); 30] = [
    ("column", "The newest row's value of this column."),
    ("count", "How many rows: `\"*\"` for all, a column for those in which it has a value."),
    ("count_if", "How many rows in which this boolean column or condition is true."),
    ("sum", "The sum of the values, exact in whatever order they came."),
    ("mean", "The mean of the values."),
    ("min", "The smallest value."),
    ("max", "The greatest value."),
    ("first", "The oldest value."),
    ("last", "The newest value."),
    ("first_k", "A list of the `k` oldest values, oldest first."),
    ("last_k", "A list of the `k` newest values, newest first."),
    ("variance", "The variance of the values."),
    ("stddev", "The standard deviation of the values."),
    ("skewness", "The skewness of the values."),
    ("kurtosis", "The kurtosis of the values."),
    ("approx_distinct", "How many different values; exact up to 256, within 1.6 % beyond."),
    (
        "distinct",
        "How many different values, exactly. Beyond `bound` a read is `degraded` and a dataset build ends.",
    ),
    ("quantile", "A quantile of the values, interpolated; exact up to 512 values, within 0.4 % beyond."),
    ("top_k", "A list of the `k` greatest values, greatest first."),
    (
        "most_frequent",
        "The value that occurs most, the smallest of several. Beyond `bound` different ones a read is `degraded` and a dataset build ends.",
    ),
    ("histogram", "How many values fall below, between and above given edges."),
    (
        "ratio",
        "One aggregation divided by another, over the same window or a longer one; null when the second is zero.",
    ),
    (
        "change",
        "What a count or a sum has over the window more than over the one of the same length before it.",
    ),
    ("rate", "Rows, or the sum of a column, per length of time."),
    ("trend", "The slope of the line through the values, per length of time."),
    (
        "time_since_last",
        "Seconds since the newest row: `\"*\"` for any, a column for one in which it has a value.",
    ),
    ("decayed_sum", "A sum in which a value counts half after each `half_life`."),
    ("decayed_mean", "A mean in which a value counts half after each `half_life`."),
    ("vector_sum", "The sum of vectors, element by element."),
    ("vector_mean", "The mean of vectors, element by element."),
];

/// The keys that say what a feature is.
pub(crate) const FEATURE_KINDS: [&str; 30] = words(KINDS);

/// The keys that may stand beside them.
pub(crate) const FEATURE_BESIDE: [&str; 6] = ["window", "where", "default", "description", "owner", "tags"];

/// What describes a thing, its views of tables, and what models read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Features")]
pub(crate) struct FeaturesFile {
    /// What the views describe: defined here, or the name of an entity of another file.
    #[serde(default)]
    #[schemars(with = "Option<EntitySchema>")]
    pub(crate) entity: Option<Node>,
    /// Features computed from one table each, by the name of the view.
    #[serde(default)]
    #[schemars(with = "Entries<ViewFile>")]
    pub(crate) views: Entries<Node>,
    /// SQL expressions over features and request values, by name.
    #[serde(default)]
    #[schemars(with = "Entries<OnDemandSchema>")]
    pub(crate) on_demand: Entries<Node>,
    /// Values that come with a request and that expressions use, with their types; others have the type that fits.
    #[serde(default)]
    #[schemars(with = "Entries<ColumnTypeText>")]
    pub(crate) request: Entries<Located<String>>,
    /// Lists of features that a model reads: `view.feature`, `view.*`, or an on-demand feature.
    #[serde(default)]
    #[schemars(with = "Entries<Vec<String>>")]
    pub(crate) services: Entries<Node>,
}

/// The thing that features describe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Entity")]
pub(crate) struct EntityFile {
    /// What the entity is called.
    pub(crate) name: Located<String>,
    /// The column or columns that name one of them.
    pub(crate) key: Located<OneOrMany<Located<String>>>,
    /// What it is.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
}

fn follows() -> bool {
    true
}

/// Features of one entity computed from one table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FeatureView")]
pub(crate) struct ViewFile {
    /// The table that is read.
    pub(crate) from: Located<String>,
    /// A query over the table that runs before anything is computed.
    #[serde(default)]
    pub(crate) sql: Option<Located<String>>,
    /// The column of the event time.
    pub(crate) time: Located<String>,
    /// A value older than this is expired; exactly this old is not.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) ttl: Option<Located<Written<Span>>>,
    /// Whether a row is visible at its own event time, and not only after it.
    #[serde(default)]
    pub(crate) include_same_instant: bool,
    /// The features by name.
    #[schemars(with = "Entries<FeatureSchema>")]
    pub(crate) features: Located<Entries<Node>>,
    /// Whether a view of a source that takes in events follows them as they arrive, while a server runs. `false` brings it up to date
    /// from the source's table only, when the view runs.
    #[serde(default = "follows")]
    pub(crate) stream: bool,
    /// When the view runs by itself: `every 15m`, a cron line of five fields with or without a time zone, or a mapping.
    #[serde(default)]
    #[schemars(with = "Option<ScheduleValue>")]
    pub(crate) schedule: Option<Node>,
    /// How a step that failed for a reason that may pass is tried again; as the project says when absent.
    #[serde(default)]
    pub(crate) retry: Option<Located<RetryFile>>,
    /// The longest time that one attempt at a step may take; as the project says when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) timeout: Option<Located<Written<Span>>>,
    /// After so many failures in a row the asset runs by itself no more, until it is changed or resumed; 5 when absent, 0 for never.
    #[serde(default)]
    pub(crate) set_aside_after: Option<Located<u32>>,
    /// What is promised of the asset.
    #[serde(default)]
    pub(crate) sla: Option<Located<SlaFile>>,
    /// What the view holds.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
}

/// The long spelling of an on-demand feature.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OnDemandFeature")]
pub(crate) struct OnDemandFile {
    /// A SQL expression.
    pub(crate) sql: Located<String>,
    /// What the feature says.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident as $title:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = $title)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $type,)*
        }
    )*};
}

bodies! {
    /// The long spelling of aggregations without parameters.
    OfColumnFile as "OfColumn" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
    }
    /// So many values of a column.
    KFile as "OfColumnK" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
        /// How many values are kept.
        k: Located<u64>,
    }
    /// Exact up to a bound.
    BoundFile as "OfColumnBounded" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
        /// How many different values are kept; 10,000 when absent.
        #[serde(default)]
        bound: Option<Located<u64>>,
    }
    /// A quantile of a column.
    QuantileOfFile as "OfColumnQuantile" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
        /// Between 0 and 1: `0.5` is the median.
        quantile: Located<f64>,
    }
    /// How many values fall between edges.
    HistogramFile as "OfColumnHistogram" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
        /// Ascending.
        edges: Located<Vec<Located<f64>>>,
    }
    /// Per length of time.
    RateFile as "Rate" {
        /// The column that is summed; rows are counted without one.
        #[serde(default)]
        column: Option<Located<String>>,
        /// The length of time: `1h` gives so much per hour.
        #[schemars(with = "SpanText")]
        per: Located<Written<Span>>,
    }
    /// The slope per length of time.
    TrendFile as "Trend" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
        /// The length of time: `1d` gives so much per day.
        #[schemars(with = "SpanText")]
        per: Located<Written<Span>>,
    }
    /// Older values count less.
    DecayFile as "Decay" {
        /// The column that is read, or a SQL expression over the row.
        column: Located<String>,
        /// After this long a value counts half; at least `1m`.
        #[schemars(with = "SpanText")]
        half_life: Located<Written<Span>>,
    }
    /// One aggregation divided by another; null when the second is zero.
    RatioFile as "Ratio" {
        /// An aggregation, and perhaps `where`.
        #[schemars(with = "AggregateSchema")]
        numerator: Node,
        /// An aggregation, and perhaps `where`, and a `window` of its own.
        #[schemars(with = "DenominatorSchema")]
        denominator: Node,
    }
    /// What may stand beside the kind of a feature.
    FeatureBesideFile as "FeatureBeside" {
        /// How far back rows count, at least `5m`; all rows without one.
        #[serde(default)]
        #[schemars(with = "Option<SpanText>")]
        window: Option<Located<Written<Span>>>,
        /// A SQL condition on the rows that count.
        #[serde(default)]
        #[serde(rename = "where")]
        filter: Option<Located<String>>,
        /// The value where nothing was found.
        #[serde(default)]
        default: Option<Located<Scalar>>,
        /// What the feature says.
        #[serde(default)]
        description: Option<String>,
        /// Who answers for it.
        #[serde(default)]
        owner: Option<String>,
        /// Words to select it by.
        #[serde(default)]
        tags: OneOrMany<String>,
    }
}

/// The schema of `entity`; the loader tells a name from a definition by the kind of the value.
struct EntitySchema;

impl JsonSchema for EntitySchema {
    fn schema_name() -> Cow<'static, str> {
        "EntityOrName".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<EntityFile>()]})
    }
}

/// The schema of an item of `on_demand`.
struct OnDemandSchema;

impl JsonSchema for OnDemandSchema {
    fn schema_name() -> Cow<'static, str> {
        "OnDemand".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<OnDemandFile>()]})
    }
}

/// The schema of a feature; the loader reads features by their kind's key.
struct FeatureSchema;

impl JsonSchema for FeatureSchema {
    fn schema_name() -> Cow<'static, str> {
        "Feature".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = kinds(generator);
        properties.insert("column".into(), described(json_schema!({"type": "string"}), about("column")));
        properties.insert("ratio".into(), described(generator.subschema_for::<RatioFile>(), about("ratio")));
        let of_change = generator.subschema_for::<AggregateSchema>();
        properties.insert("change".into(), described(of_change, about("change")));
        let beside = generator.root_schema_for::<FeatureBesideFile>().to_value();
        if let Some(beside) = beside.get("properties").and_then(serde_json::Value::as_object) {
            properties.extend(beside.clone());
        }
        json_schema!({
            "type": "object",
            "properties": properties,
            "oneOf": FEATURE_KINDS.map(|kind| json_schema!({"required": [kind]})),
            "additionalProperties": false,
        })
    }
}

/// The schema of one side of a ratio.
struct AggregateSchema;

impl JsonSchema for AggregateSchema {
    fn schema_name() -> Cow<'static, str> {
        "Aggregate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        side(kinds(generator))
    }
}

/// The schema of the denominator of a ratio.
struct DenominatorSchema;

impl JsonSchema for DenominatorSchema {
    fn schema_name() -> Cow<'static, str> {
        "Denominator".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = kinds(generator);
        let window =
            "How far back its rows count, at least `5m`; as far as those of the feature without one.";
        properties.insert("window".into(), described(generator.subschema_for::<SpanText>(), window));
        side(properties)
    }
}

/// The schema of one side of a ratio with these properties, and `where`.
fn side(mut properties: serde_json::Map<String, serde_json::Value>) -> Schema {
    let condition = "A SQL condition on the rows that count.";
    properties.insert("where".into(), described(json_schema!({"type": "string"}), condition));
    json_schema!({
        "type": "object",
        "properties": properties,
        "oneOf": aggregations().map(|kind| json_schema!({"required": [kind]})).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

/// The aggregations' bodies.
fn kinds(generator: &mut SchemaGenerator) -> serde_json::Map<String, serde_json::Value> {
    let mut properties = serde_json::Map::new();
    for kind in aggregations() {
        let (long, has_short) = match kind {
            "first_k" | "last_k" | "top_k" => (generator.subschema_for::<KFile>(), false),
            "distinct" | "most_frequent" => (generator.subschema_for::<BoundFile>(), true),
            "quantile" => (generator.subschema_for::<QuantileOfFile>(), false),
            "histogram" => (generator.subschema_for::<HistogramFile>(), false),
            "rate" => (generator.subschema_for::<RateFile>(), false),
            "trend" => (generator.subschema_for::<TrendFile>(), false),
            "decayed_sum" | "decayed_mean" => (generator.subschema_for::<DecayFile>(), false),
            _ => (generator.subschema_for::<OfColumnFile>(), true),
        };
        let schema = if has_short { json_schema!({"anyOf": [{"type": "string"}, long]}) } else { long };
        properties.insert(kind.into(), described(schema, about(kind)));
    }
    properties
}

/// The kinds of features that are one aggregation.
pub(crate) fn aggregations() -> impl Iterator<Item = &'static str> {
    FEATURE_KINDS.into_iter().filter(|kind| !matches!(*kind, "column" | "ratio" | "change"))
}

/// What a kind of feature gives.
fn about(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, about)| about)
}
