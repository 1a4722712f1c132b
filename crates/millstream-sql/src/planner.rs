//! From a parsed query to an analysed plan: DataFusion's planner over tables that we hand it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::{
    catalog::{TableFunctionArgs, cte_worktable::CteWorkTable},
    common::{DFSchema, DataFusionError, Result, TableReference, config::ConfigOptions, plan_datafusion_err},
    datasource::provider_as_source,
    execution::{SessionState, SessionStateBuilder, SessionStateDefaults},
    logical_expr::{
        AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner},
        simplify::SimplifyContext,
    },
    optimizer::{Analyzer, AnalyzerRule, Optimizer, OptimizerRule, simplify_expressions::ExprSimplifier},
    physical_expr::PhysicalExpr,
    prelude::SessionConfig,
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::ast::{Query, Statement},
    },
};
use millstream_types::TableName;

use crate::{
    catalog::Catalog,
    distinct::DistinctToGrouping,
    growth::{BoundConstants, Concatenations, bounded, concatenated},
    keep_types::keeping_types,
    microseconds::{self, ComparedInMicroseconds},
    overflow,
    scalar_names::ScalarNames,
    size::plannable,
    stream::{batch, bounds},
    time_zone,
};

/// A state without a session, whose functions and settings analysis uses.
static OFFLINE: LazyLock<SessionState> = LazyLock::new(|| state_builder(session_config()).build());

/// The state with the functions that every project has.
pub(crate) fn offline_state() -> &'static SessionState {
    &OFFLINE
}

/// Settings that analysis and sessions share, so that a plan means the same in both.
pub(crate) fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new().with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("+00:00".into());
    config
}

/// A state with every function, and without the file formats and table factories that no query of ours may use: their code
/// is then neither linked nor touched.
pub(crate) fn state_builder(config: SessionConfig) -> SessionStateBuilder {
    let table_functions = SessionStateDefaults::default_table_functions().into_iter();
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.retain(|function| function.name() != "sum");
    aggregates.push(overflow::sum());
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions.push(time_zone::function());
    functions.extend(bounds::functions());
    let mut analyzer_rules = analyzer_rules();
    analyzer_rules.push(Arc::new(overflow::Checked));
    SessionStateBuilder::new()
        .with_config(config)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(bounded(functions))
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(aggregates)
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(table_functions.collect())
        .with_analyzer_rules(analyzer_rules)
        .with_optimizer_rules(optimizer_rules())
}

/// The engine's rules of analysis, and those of this crate.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    rules.push(Arc::new(ComparedInMicroseconds));
    rules
}

/// The engine's rules, and those of this crate. Distinct aggregates are rewritten before the engine's own rewriting of a
/// single one. Each rule keeps the types of its plan.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let single = rules.iter().position(|rule| rule.name() == "single_distinct_aggregation_to_group_by");
    rules.insert(single.unwrap_or(0), Arc::new(DistinctToGrouping));
    // The first two rules run before any constant is computed, the last one when all are.
    rules.insert(0, Arc::new(Concatenations));
    rules.insert(0, Arc::new(ScalarNames));
    rules.push(Arc::new(BoundConstants));
    keeping_types(rules)
}

/// Where the planner finds tables.
pub(crate) trait Tables {
    fn source(&self, name: &TableReference) -> Option<Arc<dyn TableSource>>;
}

impl Tables for Catalog {
    fn source(&self, name: &TableReference) -> Option<Arc<dyn TableSource>> {
        let TableReference::Partial { schema, table } = name else { return None };
        let name = TableName::new(schema, table).ok()?;
        self.get(&name).map(|table| Arc::clone(table) as Arc<dyn TableSource>)
    }
}

/// DataFusion's SQL planner, with the tables that it is handed and a state's functions.
pub(crate) struct Planner<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) tables: &'a dyn Tables,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(state: &'a SessionState, tables: &'a dyn Tables) -> Self {
        Self { state, tables }
    }

    /// The SQL planner, for expressions.
    pub(crate) fn sql_to_rel(&self) -> SqlToRel<'_, Self> {
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        SqlToRel::new_with_options(self, options)
    }

    /// The plan as written, before types are coerced.
    pub(crate) fn plan(&self, query: Box<Query>) -> Result<LogicalPlan> {
        self.plan_marked(query).and_then(windows_over_tables)
    }

    /// As [`Self::plan`], with marks for windows of event time in the place of what computes them over whole tables.
    pub(crate) fn plan_marked(&self, query: Box<Query>) -> Result<LogicalPlan> {
        unpanicked(|| {
            microseconds::written(self.sql_to_rel().sql_statement_to_plan(Statement::Query(query))?)
        })
    }

    /// The plan with types coerced and checked, unless it is too large for that.
    pub(crate) fn analyse(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        plannable(&plan)?;
        let analyzer = Analyzer::with_rules(analyzer_rules());
        unpanicked(|| analyzer.execute_and_check(plan, self.state.config_options(), |_, _| {}))
    }
}

/// The plan with windows of event time in terms that are computed over whole tables.
pub(crate) fn windows_over_tables(plan: LogicalPlan) -> Result<LogicalPlan> {
    unpanicked(|| batch::expanded(plan))
}

/// Runs the engine's planner on input from outside: a bug in it must not take the process down.
pub(crate) fn unpanicked<T>(plan: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(plan))
        .unwrap_or_else(|_| Err(DataFusionError::Plan("the planner gave up on this statement".into())))
}

/// An expression, types coerced, as one that runs over batches of `schema`. Its `now()`, if it has one, is the given
/// time.
pub(crate) fn physical(
    expr: Expr,
    schema: &DFSchema,
    now: Option<DateTime<Utc>>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let state = offline_state();
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(now)
        .build();
    unpanicked(|| {
        let expr = concatenated(overflow::checked(expr, schema)?)?;
        // Some functions (`coalesce`, `arrow_cast`) exist only until they are simplified.
        let expr = ExprSimplifier::new(context).simplify(expr)?;
        state.create_physical_expr(expr, schema)
    })
}

impl ContextProvider for Planner<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        self.tables.source(&name).ok_or_else(|| plan_datafusion_err!("table '{name}' not found"))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let name = name.to_lowercase();
        let function = self
            .state
            .table_functions()
            .get(&name)
            .ok_or_else(|| plan_datafusion_err!("table function '{name}' not found"))?;
        let context =
            SimplifyContext::builder().with_config_options(Arc::clone(self.state.config_options())).build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        let args = args
            .into_iter()
            .map(|arg| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg)))
            .collect::<Result<Vec<_>>>()?;
        let provider = function.create_table_provider_with_args(TableFunctionArgs::new(&args, self.state))?;
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
