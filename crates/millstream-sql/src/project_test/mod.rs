//! Tests of a project: given rows in, expected rows out, all in memory.

mod diff;
mod rows;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{Schema, SchemaRef},
};
use async_trait::async_trait;
use datafusion::{common::DataFusionError, datasource::MemTable};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_lake::At;
use millstream_project::{Diagnostic, Location, Materialize, TableSpec, TestInput, TestSpec};
use millstream_types::{TableName, TimestampMicros};

pub use diff::{ChangedCell, ChangedRow, TestRow, Verdict};

use crate::{
    analyze::{Analysis, TableAnalysis},
    codes,
    incremental::{self, IncrementalError, Keep, Maintenance},
    nearest::name_hint,
    schema::conform,
    session::{Resolved, SqlError, SqlSession, TableResolver},
};

/// The time at which the builds of tests run, 2024-01-01T00:00:00Z. States of a table without `time` begin then.
const NOW: TimestampMicros = TimestampMicros(1_704_067_200_000_000);

/// What a test showed.
#[derive(Debug)]
pub struct TestOutcome {
    pub name: String,
    pub table: TableName,
    pub at: Location,
    pub verdict: Verdict,
}

impl TestOutcome {
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed { .. })
    }
}

/// Runs one test. Inputs without given rows are empty, unless they are tables that can be computed from given
/// rows. Of a history table the SELECT is tested, or, when the expected rows name `valid_from` or `valid_to`, the
/// periods of a first build at [`NOW`].
pub fn run_test<'a>(
    test: &'a TestSpec,
    analysis: &'a Analysis,
    tables: &'a [TableSpec],
) -> BoxFuture<'a, TestOutcome> {
    Box::pin(async move {
        let verdict = match judge(test, analysis, tables).await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        TestOutcome { name: test.name.clone(), table: test.table.value.clone(), at: test.at, verdict }
    })
}

/// What is wrong with a test itself, without running it: rows that do not fit their tables, rows for tables that are
/// not read. A test of a table that does not plan, or reads one that `broken` holds, is not judged; that a table
/// does not exist is not said again.
#[must_use]
pub fn check_test(
    test: &TestSpec,
    analysis: &Analysis,
    tables: &[TableSpec],
    broken: &BTreeSet<TableName>,
) -> Vec<Diagnostic> {
    let Ok(table) = tested(test, analysis) else { return Vec::new() };
    if is_doubtful(&table.name, analysis, broken) {
        return Vec::new();
    }
    let mut diagnostics = Inputs::new(test, table, analysis, tables).err().unwrap_or_default();
    let result = result_schema(&test.expect, table);
    diagnostics.extend(rows::unknown_columns(&test.expect, result));
    let known = expected_columns(&test.expect, result);
    diagnostics.extend(rows::batch(&test.expect, &known, &table.name).err().unwrap_or_default());
    diagnostics.retain(|diagnostic| diagnostic.code != codes::TEST_TABLE);
    diagnostics
}

/// Whether what is known of the table may be wrong, because it is broken or reads a broken one.
fn is_doubtful(table: &TableName, analysis: &Analysis, broken: &BTreeSet<TableName>) -> bool {
    let mut open = vec![table];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if broken.contains(name) {
            return true;
        }
        if seen.insert(name) {
            open.extend(analysis.tables.get(name).iter().flat_map(|table| &table.dependencies));
        }
    }
    false
}

async fn judge(test: &TestSpec, analysis: &Analysis, tables: &[TableSpec]) -> Result<Verdict, Verdict> {
    let table = tested(test, analysis)?;
    let mut inputs = Inputs::new(test, table, analysis, tables).map_err(Verdict::Invalid)?;
    inputs.compute_continuous(analysis).await.map_err(Verdict::Failed)?;
    let result = result_schema(&test.expect, table);
    let expected_schema = expected_schema(&test.expect, result)?;
    let expected = rows::batch(&test.expect, &expected_schema, &table.name).map_err(Verdict::Invalid)?;
    let session = SqlSession::in_memory(Arc::new(inputs));
    let periods = history_of(test, tables).filter(|_| Arc::ptr_eq(result, &table.stored_schema));
    let actual = collect(&session, table, periods).await.map_err(Verdict::Failed)?;
    let columns: Vec<usize> =
        expected_schema.fields().iter().filter_map(|field| result.index_of(field.name()).ok()).collect();
    let arrow_failed = |error| Verdict::Failed(SqlError::Execution { message: format!("{error}") });
    let actual = actual.project(&columns).map_err(arrow_failed)?;
    let key = key_columns(test, tables, &expected_schema);
    diff::compare(&expected, &actual, test.ordered, &key).map_err(arrow_failed)
}

fn tested<'a>(test: &TestSpec, analysis: &'a Analysis) -> Result<&'a TableAnalysis, Verdict> {
    analysis.tables.get(&test.table.value).ok_or_else(|| {
        let known: Vec<_> = analysis.tables.keys().map(ToString::to_string).collect();
        let hint = name_hint(&test.table.to_string(), known.iter().map(String::as_str), "tables with SQL");
        let message = format!("`{}` is no table with SQL in this project", test.table);
        Verdict::Invalid(vec![Diagnostic {
            hint,
            ..Diagnostic::error(codes::TEST_TABLE, message, test.table.at)
        }])
    })
}

/// The columns that the expected rows name. The error holds every column that the result does not have.
fn expected_schema(expect: &TestInput, schema: &SchemaRef) -> Result<SchemaRef, Verdict> {
    let unknown = rows::unknown_columns(expect, schema);
    if unknown.is_empty() { Ok(expected_columns(expect, schema)) } else { Err(Verdict::Invalid(unknown)) }
}

/// The result's columns that any expected row names, in the result's order.
fn expected_columns(expect: &TestInput, schema: &SchemaRef) -> SchemaRef {
    let named: Vec<&str> = expect.rows.iter().flat_map(rows::keys).map(|key| key.value.as_str()).collect();
    // Without a row, no column is named, and the result must be empty.
    let fields =
        schema.fields().iter().filter(|field| named.is_empty() || named.contains(&field.name().as_str()));
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

/// The key's columns among the compared ones, by which changed rows find their partners.
fn key_columns(test: &TestSpec, tables: &[TableSpec], schema: &Schema) -> Vec<usize> {
    use millstream_project::IncrementalSpec::Merge;
    let spec = tables.iter().find(|table| table.name == test.table.value);
    let key = match spec.map(|table| &table.materialize) {
        Some(Materialize::Incremental(Merge { key }) | Materialize::History { key, .. }) => key.as_slice(),
        _ => &[],
    };
    let found: Vec<_> = key.iter().filter_map(|column| schema.index_of(&column.value).ok()).collect();
    if found.len() == key.len() { found } else { Vec::new() }
}

/// The columns that a test may name: with `valid_from` and `valid_to` where it names one of them.
fn result_schema<'a>(expect: &TestInput, table: &'a TableAnalysis) -> &'a SchemaRef {
    let added = |name: &str| {
        table.stored_schema.field_with_name(name).is_ok() && table.schema.field_with_name(name).is_err()
    };
    let names_period = expect.rows.iter().flat_map(rows::keys).any(|key| added(&key.value));
    if names_period { &table.stored_schema } else { &table.schema }
}

/// How the tested table is kept, if it keeps a history.
fn history_of(test: &TestSpec, tables: &[TableSpec]) -> Option<Keep> {
    let spec = tables.iter().find(|table| table.name == test.table.value)?;
    let Materialize::History { key, time } = &spec.materialize else { return None };
    let key = key.iter().map(|name| name.value.clone()).collect();
    Some(Keep::History { key, time: time.as_ref().map(|time| time.value.clone()) })
}

/// The rows of the table's SELECT, or of a history's first build.
async fn collect(
    session: &SqlSession,
    table: &TableAnalysis,
    periods: Option<Keep>,
) -> Result<RecordBatch, SqlError> {
    let (stream, schema) = match periods {
        None => (session.table_stream(table).await?, &table.schema),
        Some(keep) => {
            let outside = |error: IncrementalError| SqlError::Execution { message: error.to_string() };
            let plan = session.bind(&table.plan).await?;
            let maintenance = Maintenance::new(&plan, keep).map_err(outside)?;
            let inputs = incremental::Inputs::new();
            let rows = maintenance.build(session.runtime().as_ref(), &inputs, NOW).await.map_err(outside)?;
            (rows, &table.stored_schema)
        }
    };
    let batches: Vec<_> = stream.try_collect().await.map_err(of_rows)?;
    let failed = |error: arrow::error::ArrowError| SqlError::Execution { message: error.to_string() };
    let batches: Vec<_> =
        batches.iter().map(|batch| conform(batch, schema)).collect::<Result<_, _>>().map_err(failed)?;
    concat_batches(schema, &batches).map_err(failed)
}

/// A rule of histories that the rows break comes out of the engine's wrapping.
fn of_rows(error: DataFusionError) -> SqlError {
    match error {
        DataFusionError::External(inner) if inner.is::<IncrementalError>() => {
            SqlError::Execution { message: inner.to_string() }
        }
        error => SqlError::from_datafusion(error),
    }
}

/// The tables that one test sees.
#[derive(Clone)]
struct Inputs {
    given: HashMap<TableName, Arc<MemTable>>,
    /// Continuous tables that are computed from given rows: their headers change what their SQL gives, so that it alone does not do.
    continuous: BTreeSet<TableName>,
    /// SQL of the tables that are computed from given rows.
    computed: HashMap<TableName, String>,
    empty: HashMap<TableName, Arc<MemTable>>,
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("given", &self.given.keys()).finish_non_exhaustive()
    }
}

impl Inputs {
    fn new(
        test: &TestSpec,
        table: &TableAnalysis,
        analysis: &Analysis,
        tables: &[TableSpec],
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut inputs = Self {
            given: HashMap::new(),
            continuous: BTreeSet::new(),
            computed: HashMap::new(),
            empty: HashMap::new(),
        };
        let mut diagnostics = Vec::new();
        for (name, rows) in &test.given {
            match given(name, rows, analysis) {
                Ok(table) => {
                    inputs.given.insert(name.clone(), table);
                }
                Err(found) => diagnostics.extend(found),
            }
        }
        let mut read: Vec<TableName> = Vec::new();
        inputs.reach(&table.dependencies, test, analysis, tables, &mut read, &mut diagnostics);
        for (name, rows) in &test.given {
            if analysis.schema(name).is_some() && !read.contains(name) {
                let known: Vec<_> = read.iter().map(ToString::to_string).collect();
                let hint = name_hint(&name.to_string(), known.iter().map(String::as_str), "it reads");
                let message = format!("`{}` does not read `{name}`", table.name);
                diagnostics
                    .push(Diagnostic { hint, ..Diagnostic::error(codes::TEST_INPUT, message, rows.at) });
            }
        }
        if diagnostics.is_empty() { Ok(inputs) } else { Err(diagnostics) }
    }

    /// Computes the rows of continuous tables, each after those that it reads.
    async fn compute_continuous(&mut self, analysis: &Analysis) -> Result<(), SqlError> {
        for (name, table) in &analysis.tables {
            if !self.continuous.remove(name) {
                continue;
            }
            let session = SqlSession::in_memory(Arc::new(self.clone()));
            let rows = collect(&session, table, None).await?;
            let rows = MemTable::try_new(Arc::clone(&table.schema), vec![vec![rows]]);
            self.given.insert(name.clone(), Arc::new(rows.map_err(SqlError::from_datafusion)?));
        }
        Ok(())
    }

    /// Decides for each input whether it is given, computed or empty.
    fn reach(
        &mut self,
        dependencies: &[TableName],
        test: &TestSpec,
        analysis: &Analysis,
        tables: &[TableSpec],
        read: &mut Vec<TableName>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for name in dependencies {
            if read.contains(name) {
                continue;
            }
            read.push(name.clone());
            if test.given.contains_key(name) {
                continue;
            }
            let spec = tables.iter().find(|spec| &spec.name == name);
            if let (Some(spec), Some(analysed)) = (spec, analysis.tables.get(name))
                && reads_given(analysed, test, analysis)
            {
                if spec.materialize.keeps_states() {
                    let message =
                        format!("`{name}` keeps a history, which cannot be computed from given rows");
                    diagnostics.push(
                        Diagnostic::error(codes::TEST_INPUT, message, test.at)
                            .with_hint(format!("give rows for `{name}`")),
                    );
                }
                if spec.materialize.stream().is_some() {
                    self.continuous.insert(name.clone());
                } else {
                    self.computed.insert(name.clone(), spec.sql.value.clone());
                }
                self.reach(&analysed.dependencies, test, analysis, tables, read, diagnostics);
            } else if let Some(schema) = analysis.schema(name)
                && let Ok(table) = MemTable::try_new(schema.clone(), vec![Vec::new()])
            {
                self.empty.insert(name.clone(), Arc::new(table));
            }
        }
    }
}

fn reads_given(table: &TableAnalysis, test: &TestSpec, analysis: &Analysis) -> bool {
    table.dependencies.iter().any(|name| {
        test.given.contains_key(name)
            || analysis.tables.get(name).is_some_and(|table| reads_given(table, test, analysis))
    })
}

fn given(name: &TableName, rows: &TestInput, analysis: &Analysis) -> Result<Arc<MemTable>, Vec<Diagnostic>> {
    let Some(schema) = analysis.schema(name) else {
        let known: Vec<_> = analysis.known_tables().iter().map(ToString::to_string).collect();
        let hint = name_hint(&name.to_string(), known.iter().map(String::as_str), "known tables");
        let message = format!("unknown table `{name}`");
        return Err(vec![Diagnostic { hint, ..Diagnostic::error(codes::TEST_TABLE, message, rows.at) }]);
    };
    let mut wrong = rows::unknown_columns(rows, schema);
    let batch = match rows::batch(rows, schema, name) {
        Ok(batch) if wrong.is_empty() => batch,
        Ok(_) => return Err(wrong),
        Err(misfits) => {
            wrong.extend(misfits);
            return Err(wrong);
        }
    };
    let table = MemTable::try_new(schema.clone(), vec![vec![batch]]);
    table
        .map(Arc::new)
        .map_err(|error| vec![Diagnostic::error(codes::TEST_ROW, error.strip_backtrace(), rows.at)])
}

#[async_trait]
impl TableResolver for Inputs {
    async fn resolve(&self, table: &TableName, _: At) -> Result<Option<Resolved>, SqlError> {
        if let Some(sql) = self.computed.get(table) {
            return Ok(Some(Resolved::View { sql: sql.clone() }));
        }
        let stored = self.given.get(table).or_else(|| self.empty.get(table));
        Ok(stored.map(|table| Resolved::Table(table.clone())))
    }

    fn known_tables(&self) -> Vec<TableName> {
        self.given.keys().chain(self.computed.keys()).chain(self.empty.keys()).cloned().collect()
    }
}
