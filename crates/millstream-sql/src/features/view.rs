//! A feature view to its definition: the columns of its events, its features with types, and the query that gives them.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use millstream_features::{
    FeatureError,
    aggregate::Aggregate,
    view::{
        ColumnDefinition, FeatureDefinition, FeatureValue as Value, KNOWN, KeyDefinition, RowDefinition,
        SEQUENCE, TIME, ViewDefinition,
    },
    window::{Measure, Operand},
};
use millstream_project::{
    AggregateSpec, Diagnostic, FeatureSpec, FeatureValue, FeatureViewSpec, Located, Location,
};
use millstream_types::{Aggregation, INGESTED_AT, Span, TableName};

use super::{
    aggregation::way_out,
    canonical,
    columns::Columns,
    default,
    relation::{Relation, Tables},
    types::{kept_type, same_values},
};
use crate::{
    catalog::timestamp,
    codes,
    explain::explain,
    parse::parse_query,
    place::SqlText,
    planner::{Planner, offline_state},
    type_name::type_name,
};

/// One feature view whose features all have a meaning.
#[derive(Clone, Debug)]
pub struct AnalyzedView {
    pub definition: ViewDefinition,
    /// The tables that the view names: `from`, and what else its `sql` reads.
    pub dependencies: Vec<TableName>,
    /// Whether each event is made of one row of one stored table. Then new files alone give the new events; otherwise
    /// the view is computed anew.
    pub row_wise: bool,
    /// Whether events say when they became known.
    pub has_known: bool,
    /// The place of the view's name.
    pub at: Location,
    /// The query over the project's tables, types coerced.
    pub(super) plan: LogicalPlan,
    /// Warnings about a view that has a meaning, but likely not the one that was meant.
    pub(super) warnings: Vec<Diagnostic>,
}

/// A view's rows before its features are looked at.
pub(super) struct Base<'a> {
    pub(super) spec: &'a FeatureViewSpec,
    pub(super) relation: Relation,
}

impl<'a> Base<'a> {
    /// The rows of the view. An error without diagnostics has its cause elsewhere.
    pub(super) fn new(spec: &'a FeatureViewSpec, tables: &Tables<'_>) -> Result<Self, Vec<Diagnostic>> {
        let table = tables.table(&spec.from.value).ok_or_else(Vec::new)?;
        let Some(sql) = &spec.sql else { return Ok(Self { spec, relation: table }) };
        let mut relation = tables.query(sql)?;
        if !relation.tables.contains(&spec.from.value) {
            let message = format!("`sql` does not read `{}`", spec.from);
            let hint = "name the same table in both places";
            return Err(vec![Diagnostic::error(codes::VIEW_QUERY, message, spec.from.at).with_hint(hint)]);
        }
        relation.tables.sort_by_key(|table| *table != spec.from.value);
        Ok(Self { spec, relation })
    }

    /// The view, with its keys in the types of the entity.
    pub(super) fn view(
        &self,
        keys: Vec<KeyDefinition>,
        tables: &Tables<'_>,
    ) -> Result<AnalyzedView, Vec<Diagnostic>> {
        let Self { spec, relation } = self;
        let mut diagnostics = self.time().into_iter().chain(self.stamps()).collect::<Vec<_>>();
        diagnostics.extend(reserved(&keys, spec.at));
        let mut columns = Columns::new(relation);
        let mut features = Vec::with_capacity(spec.features.len());
        for feature in &spec.features {
            match self.feature(feature, &mut columns) {
                Ok(feature) => features.push(feature),
                Err(found) => diagnostics.extend(found),
            }
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let rows = self.rows(&keys, &columns.reads);
        let mut definition = ViewDefinition {
            name: spec.name.clone(),
            entity: spec.entity.value.clone(),
            keys,
            query: String::new(),
            ttl: spec.ttl,
            include_same_instant: spec.include_same_instant,
            columns: Vec::new(),
            features,
            rows,
        };
        definition.rows.query = self.query(&definition);
        definition.columns = columns.found;
        definition.query = self.query(&definition);
        let fail = |message: String| vec![Diagnostic::error(codes::FEATURE_EXPRESSION, message, spec.at)];
        if definition.layout().is_err() {
            return Err(self.not_computable(&definition));
        }
        let plan = plan(&definition.query, tables).map_err(fail)?;
        Ok(AnalyzedView {
            row_wise: tables.is_row_wise(&plan, &relation.tables),
            has_known: relation.data_type(INGESTED_AT).is_some(),
            dependencies: relation.tables.clone(),
            at: spec.at,
            plan,
            definition,
            warnings: columns.warnings,
        })
    }

    fn time(&self) -> Option<Diagnostic> {
        let (time, relation) = (&self.spec.time, &self.relation);
        let Some(data_type) = relation.data_type(&time.value) else {
            let message = format!("{} has no column `{time}`", relation.called);
            let hint = relation.nearest(&time.value);
            return Some(Diagnostic { hint, ..Diagnostic::error(codes::FEATURE_COLUMN, message, time.at) });
        };
        (!is_time(data_type)).then(|| {
            let message = format!("`{time}` is {}, not a timestamp or a date", type_name(data_type));
            Diagnostic::error(codes::FEATURE_TIME, message, time.at)
                .with_hint("name a column of the time at which a row's event happened, or cast it in `sql`")
        })
    }

    /// The problems of columns named `_ingested_at` or `_sequence`: these decide on ties, so they cannot be anything
    /// else.
    fn stamps(&self) -> Vec<Diagnostic> {
        let wrong = |name: &str, fits: fn(&DataType) -> bool, meant: &str| {
            let data_type = self.relation.data_type(name).filter(|data_type| !fits(data_type))?;
            let message = format!("`{name}` is {}, not {meant}", type_name(data_type));
            let at = self.spec.sql.as_ref().map_or(self.spec.from.at, |sql| sql.at);
            Some(
                Diagnostic::error(codes::FEATURE_TIME, message, at)
                    .with_hint("give it another name in `sql`"),
            )
        };
        let known = wrong(INGESTED_AT, is_time, "a timestamp");
        let sequence = wrong(SEQUENCE, DataType::is_integer, "an integer");
        known.into_iter().chain(sequence).collect()
    }

    fn feature(
        &self,
        spec: &FeatureSpec,
        columns: &mut Columns<'_>,
    ) -> Result<FeatureDefinition, Vec<Diagnostic>> {
        let (value, data_type) = match &spec.value {
            FeatureValue::Column(column) => newest(column, spec, columns)?,
            FeatureValue::Aggregate(aggregate) => {
                let (operand, data_type) = operand(aggregate, spec, columns)?;
                (Value::Window { measure: Measure::One(operand), window: spec.window }, data_type)
            }
            FeatureValue::Change(aggregate) => {
                let (operand, _) = operand(aggregate, spec, columns)?;
                (Value::Window { measure: Measure::Change(operand), window: spec.window }, DataType::Float64)
            }
            FeatureValue::Ratio { numerator, denominator, against } => {
                let measure = ratio(numerator, denominator, *against, spec, columns)?;
                (Value::Window { measure, window: spec.window }, DataType::Float64)
            }
        };
        let default = match &spec.default {
            None => None,
            Some(written) => {
                let value = default::value(&written.value, &data_type);
                Some(value.ok_or_else(|| vec![wrong_default(written.at, spec, &data_type)])?)
            }
        };
        Ok(FeatureDefinition { name: spec.name.clone(), value, data_type, default })
    }

    /// The problems of features that windows cannot compute, for instance because such a feature needs a window.
    fn not_computable(&self, definition: &ViewDefinition) -> Vec<Diagnostic> {
        let alone = |(spec, feature): (&FeatureSpec, &FeatureDefinition)| {
            let definition = ViewDefinition { features: vec![feature.clone()], ..definition.clone() };
            let error = definition.layout().err()?;
            Some(Diagnostic::error(codes::FEATURE_TYPE, error.to_string(), spec.at))
        };
        self.spec.features.iter().zip(&definition.features).filter_map(alone).collect()
    }

    /// The columns that a pushed row has to have.
    fn rows(&self, keys: &[KeyDefinition], reads: &[BTreeSet<String>]) -> RowDefinition {
        let mut columns = keys.to_vec();
        let time = std::iter::once(self.spec.time.value.as_str());
        let used: BTreeSet<&String> = reads.iter().flatten().collect();
        for name in time.chain(used.into_iter().map(String::as_str)) {
            if columns.iter().any(|known| known.name == name) {
                continue;
            }
            let data_type = self.relation.data_type(name);
            // A column that no table can keep is pushed as it is.
            let data_type = data_type.map(|found| kept_type(found).unwrap_or_else(|| found.clone()));
            columns.extend(data_type.map(|data_type| KeyDefinition { name: name.to_owned(), data_type }));
        }
        let reads = reads.iter().map(|names| names.iter().cloned().collect()).collect();
        RowDefinition { time: self.spec.time.value.clone(), columns, query: String::new(), reads }
    }

    /// The query that gives rows in the shape of [`ViewDefinition::event_schema`].
    fn query(&self, definition: &ViewDefinition) -> String {
        let column = |name: &str, to: &DataType| {
            let sql = canonical::name(name);
            match self.relation.data_type(name) {
                Some(from) => cast(&sql, from, to),
                None => cast("NULL", &DataType::Null, to),
            }
        };
        let keys = definition.keys.iter().map(|key| (column(&key.name, &key.data_type), key.name.clone()));
        let stamps = [
            (column(&self.spec.time.value, &timestamp()), TIME.to_owned()),
            (column(INGESTED_AT, &timestamp()), KNOWN.to_owned()),
            (column(SEQUENCE, &DataType::Int64), SEQUENCE.to_owned()),
        ];
        let expression = |(index, column): (usize, &ColumnDefinition)| {
            let sql = match &column.data_type {
                // When the rows are read, every other type that a table keeps is cast to the column's type.
                vector @ DataType::FixedSizeList(..) => cast(&column.sql, &DataType::Null, vector),
                _ => column.sql.clone(),
            };
            (sql, format!("c{index}"))
        };
        let columns = definition.columns.iter().enumerate().map(expression);
        let items: Vec<String> = keys
            .chain(stamps)
            .chain(columns)
            .map(|(sql, name)| {
                let name = canonical::name(&name);
                if sql == name { sql } else { format!("{sql} AS {name}") }
            })
            .collect();
        format!("SELECT {} FROM {}", items.join(", "), self.relation.from)
    }
}

/// The expression in a type, where it is not of it already.
fn cast(sql: &str, from: &DataType, to: &DataType) -> String {
    if same_values(from, to) {
        return sql.to_owned();
    }
    format!("arrow_cast({sql}, {})", canonical::text(&to.to_string()))
}

pub(super) fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// The problem of keys that would have the name of another column of the events.
fn reserved(keys: &[KeyDefinition], at: Location) -> Option<Diagnostic> {
    let numbered = |name: &str| {
        let digits = name.strip_prefix('c').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let taken = |name: &str| [TIME, KNOWN, SEQUENCE].contains(&name) || numbered(name);
    let key = keys.iter().find(|key| taken(&key.name))?;
    let message = format!("the key `{}` has a name that rows of events use themselves", key.name);
    Some(Diagnostic::error(codes::ENTITY_KEY, message, at).with_hint("rename the column in the table's SQL"))
}

fn newest(
    column: &Located<String>,
    spec: &FeatureSpec,
    columns: &mut Columns<'_>,
) -> Result<(Value, DataType), Vec<Diagnostic>> {
    if let Some(filter) = &spec.filter {
        let message = "`where` has no meaning for a column of the newest row";
        let hint = format!("write `last: {column}`, or remove it");
        return Err(vec![Diagnostic::error(codes::FEATURE_EXPRESSION, message, filter.at).with_hint(hint)]);
    }
    let index = columns.operand(column)?;
    let data_type = columns.found[index].data_type.clone();
    // A value that cannot be the last value of a window cannot be kept as the newest one either.
    Aggregation::Last
        .output_type(Some(&data_type))
        .map(|_| (Value::Newest(index), data_type.clone()))
        .map_err(|_| {
            let message = format!("`{column}` is {}, which a feature cannot be", type_name(&data_type));
            vec![Diagnostic::error(codes::FEATURE_TYPE, message, column.at).with_hint(way_out(&data_type))]
        })
}

fn operand(
    aggregate: &AggregateSpec,
    spec: &FeatureSpec,
    columns: &mut Columns<'_>,
) -> Result<(Operand, DataType), Vec<Diagnostic>> {
    let column = match (&aggregate.input, &aggregate.kind) {
        (None, _) => Ok(None),
        (Some(condition), Aggregation::CountIf) => columns.condition(condition).map(Some),
        (Some(input), _) => columns.operand(input).map(Some),
    };
    let conditions: Vec<_> = spec.filter.iter().chain(&aggregate.filter).collect();
    let (column, filter) = match (column, columns.filter(&conditions)) {
        (Ok(column), Ok(filter)) => (column, filter),
        (column, filter) => {
            return Err(column.err().into_iter().chain(filter.err()).flatten().collect());
        }
    };
    let aggregation = aggregate.kind.clone();
    let input = column.map(|index| columns.found[index].data_type.clone());
    let data_type = aggregation.output_type(input.as_ref()).map_err(|error| {
        vec![match (&aggregate.input, &input, error) {
            (Some(written), Some(input), FeatureError::Unsupported { aggregation, .. }) => {
                unfit(written, aggregation, input)
            }
            (_, _, error) => Diagnostic::error(codes::FEATURE_TYPE, error.to_string(), aggregate.at),
        }]
    })?;
    Ok((Operand { aggregation, column, filter }, data_type))
}

fn ratio(
    numerator: &AggregateSpec,
    denominator: &AggregateSpec,
    against: Option<Span>,
    spec: &FeatureSpec,
    columns: &mut Columns<'_>,
) -> Result<Measure, Vec<Diagnostic>> {
    let mut side = |aggregate: &AggregateSpec| {
        let (operand, data_type) = operand(aggregate, spec, columns)?;
        if data_type.is_numeric() {
            return Ok(operand);
        }
        let message = format!(
            "a ratio needs numbers, `{}` gives {}",
            operand.aggregation.name(),
            type_name(&data_type)
        );
        Err(vec![Diagnostic::error(codes::FEATURE_TYPE, message, aggregate.at)])
    };
    match (side(numerator), side(denominator)) {
        (Ok(numerator), Ok(denominator)) => Ok(Measure::Ratio { numerator, denominator, against }),
        (one, other) => Err(one.err().into_iter().chain(other.err()).flatten().collect()),
    }
}

fn unfit(written: &Located<String>, what: &str, data_type: &DataType) -> Diagnostic {
    let message = format!("`{what}` cannot be computed of `{written}`, which is {}", type_name(data_type));
    Diagnostic::error(codes::FEATURE_TYPE, message, written.at).with_hint(way_out(data_type))
}

fn wrong_default(at: Location, spec: &FeatureSpec, data_type: &DataType) -> Diagnostic {
    let message = format!("the default is no {}, the type of `{}`", type_name(data_type), spec.name);
    let hint = match data_type {
        DataType::Utf8 => "write a text, in quotes where it looks like a number",
        DataType::Timestamp(..) => "write it as `'2026-01-31T00:00:00Z'`",
        DataType::Date32 => "write it as `'2026-01-31'`",
        other if other.is_nested() || *other == DataType::Binary => {
            "values of this type have no default: remove it"
        }
        _ => "write a value of the type, or remove it",
    };
    Diagnostic::error(codes::FEATURE_DEFAULT, message, at).with_hint(hint)
}

/// The plan of a query that was put together of parts which plan.
fn plan(sql: &str, tables: &Tables<'_>) -> Result<LogicalPlan, String> {
    let text = SqlText::new(sql);
    let planner = Planner::new(offline_state(), &tables.analysis.catalog);
    let query = parse_query(&text).map_err(|problem| problem.message)?;
    planner.plan(query).and_then(|plan| planner.analyse(plan)).map_err(|error| {
        let problems = explain(&error, &text);
        problems.into_iter().next().map_or_else(|| error.to_string(), |problem| problem.message)
    })
}

impl AnalyzedView {
    /// The shape of the view's events.
    #[must_use]
    pub fn event_schema(&self) -> SchemaRef {
        self.definition.event_schema()
    }
}
