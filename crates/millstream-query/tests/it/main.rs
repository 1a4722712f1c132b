//! Plans go into a runtime, and rows come out in the order that was asked for, whatever meets in the plan and however large
//! its joins are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_types, reason = "tests make their plans and tables in a session of their own")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Int64Array, RecordBatch},
        datatypes::Int64Type,
        util::display::array_value_to_string,
    },
    common::{DataFusionError, Result, cast::as_primitive_array, config::ConfigOptions},
    datasource::MemTable,
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::{LogicalPlan, col},
    optimizer::AnalyzerRule,
    prelude::{SessionConfig, SessionContext},
};
use futures::TryStreamExt;
use millstream_query::{Execution, LocalRuntime, Order, QueryRuntime, scan};

/// A table of one column `n`, in parts that are read side by side.
fn numbers(parts: &[&[Option<i64>]]) -> Arc<MemTable> {
    let batch = |part: &&[Option<i64>]| {
        let column: ArrayRef = Arc::new(Int64Array::from(part.to_vec()));
        vec![RecordBatch::try_from_iter([("n", column)]).unwrap()]
    };
    let parts: Vec<_> = parts.iter().map(batch).collect();
    Arc::new(MemTable::try_new(parts[0][0].schema(), parts).unwrap())
}

/// A session whose queries share `memory_bytes`; it knows the tables `few` and `more`.
fn session(memory_bytes: usize) -> SessionContext {
    let folder = DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory);
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
        .with_disk_manager_builder(folder);
    let config =
        SessionConfig::new().with_target_partitions(2).with_sort_spill_reservation_bytes(memory_bytes / 8);
    let context = SessionContext::new_with_config_rt(config, environment.build_arc().unwrap());
    context.register_table("few", numbers(&[&[Some(2), None], &[Some(1)], &[Some(3)]])).unwrap();
    context.register_table("more", numbers(&[&[Some(12)], &[Some(11), Some(2)]])).unwrap();
    context
}

/// The rows of a query in the session, executed by a runtime over it.
async fn batches(context: &SessionContext, sql: &str, order: Order) -> Result<Vec<RecordBatch>> {
    let plan = context.state().create_logical_plan(sql).await?;
    let runtime = LocalRuntime::new(context.state(), Vec::new());
    runtime.stream(plan, Execution { order, ..Execution::default() }).await?.try_collect().await
}

/// Every row as a text of its values.
async fn rows(context: &SessionContext, sql: &str, order: Order) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for batch in batches(context, sql, order).await? {
        for row in 0..batch.num_rows() {
            let value = |column: &ArrayRef| match column.is_null(row) {
                true => "-".to_owned(),
                false => array_value_to_string(column, row).unwrap(),
            };
            let values: Vec<_> = batch.columns().iter().map(value).collect();
            texts.push(values.join(" "));
        }
    }
    Ok(texts)
}

/// Each runs many times: an order by chance would be another one now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_in_the_order_that_was_asked_for() {
    let both = "SELECT n, 'few' AS t FROM few UNION ALL SELECT n, 'more' FROM more";
    let by = |columns: &[usize]| Order::By(columns.to_vec());
    for (sql, order, expected) in [
        (both.into(), Order::Stable, "2 few, - few, 1 few, 3 few, 12 more, 11 more, 2 more"),
        (
            format!("{both} ORDER BY n DESC NULLS LAST, t"),
            Order::Stable,
            "12 more, 11 more, 3 few, 2 few, 2 more, 1 few, - few",
        ),
        (format!("SELECT n FROM ({both}) LIMIT 3"), Order::Stable, "2, -, 1"),
        (
            format!("{both} ORDER BY n DESC NULLS LAST, t"),
            Order::Any,
            "12 more, 11 more, 3 few, 2 few, 2 more, 1 few, - few",
        ),
        (both.into(), by(&[0, 1]), "- few, 1 few, 2 few, 2 more, 3 few, 11 more, 12 more"),
        (both.into(), by(&[1, 0]), "- few, 1 few, 2 few, 3 few, 2 more, 11 more, 12 more"),
        ("SELECT few.n FROM few JOIN more ON few.n = more.n".into(), by(&[0]), "2"),
        ("SELECT n FROM few WHERE n > 3".into(), by(&[0]), ""),
    ] {
        for _ in 0..20 {
            let found = rows(&session(64 << 20), &sql, order.clone()).await.unwrap();
            assert_eq!(found.join(", "), expected, "{sql} {order:?}");
        }
    }
}

#[tokio::test]
async fn an_order_by_columns_that_are_not_there_is_an_error() {
    for (columns, expected) in [
        (vec![1], "rows are to be ordered by a column that they do not have"),
        (Vec::new(), "rows are to be ordered by no column"),
    ] {
        let error = rows(&session(1 << 20), "SELECT n FROM few", Order::By(columns)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Both sides of the join outgrow the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_outgrows_the_memory_sorts_both_sides_unless_its_order_is_to_be_stable() {
    let side = "SELECT value AS n, concat('a text that is long enough ', value) AS x FROM generate_series(1, 1500000)";
    let join = format!("SELECT a.n FROM ({side}) a JOIN ({side}) b ON a.x = b.x");
    let context = session(48 << 20);
    for (order, is_sorted) in [(Order::Any, false), (Order::By(vec![0]), true)] {
        let found = batches(&context, &join, order.clone()).await;
        let found = found.unwrap_or_else(|error| panic!("{order:?}: {error}"));
        let mut numbers: Vec<i64> = Vec::new();
        for batch in &found {
            numbers.extend(as_primitive_array::<Int64Type>(batch.column(0)).unwrap().values());
        }
        assert!(!is_sorted || numbers.is_sorted(), "{order:?}");
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(1..=1_500_000), "{order:?}");
    }
    let error = batches(&context, &join, Order::Stable).await.unwrap_err();
    assert!(matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)), "{error}");
}

/// A scan holds nothing that queries would have to share.
#[tokio::test]
async fn a_scan_needs_none_of_the_memory() {
    let plan = scan(numbers(&[&[Some(2)], &[Some(1)]])).unwrap().filter(col("n").gt_eq(col("n"))).unwrap();
    let runtime = LocalRuntime::new(session(0).state(), Vec::new());
    let how = Execution { order: Order::Stable, ..Execution::default() };
    let rows = runtime.stream(plan.build().unwrap(), how).await.unwrap();
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

/// A rule of analysis that counts how often it is asked.
#[derive(Debug, Default)]
struct Asked(AtomicUsize);

impl AnalyzerRule for Asked {
    fn name(&self) -> &str {
        "asked"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(plan)
    }
}

#[tokio::test]
async fn coerced_plans_go_through_the_rules_after_coercion_alone() {
    let (context, asked) = (session(1 << 20), Arc::new(Asked::default()));
    let runtime = LocalRuntime::new(context.state(), vec![asked.clone()]);
    let state = runtime.session();
    let written = state.create_logical_plan("SELECT count(*) FROM few WHERE n > 1.5").await.unwrap();
    let analysed =
        state.analyzer().execute_and_check(written.clone(), state.config_options(), |_, _| {}).unwrap();
    for (plan, coerced, times) in [(written, false, 0), (analysed, true, 1)] {
        let how = Execution { coerced, ..Execution::default() };
        let found: Vec<RecordBatch> = runtime.stream(plan, how).await.unwrap().try_collect().await.unwrap();
        assert_eq!(as_primitive_array::<Int64Type>(found[0].column(0)).unwrap().values(), &[2]);
        assert_eq!(asked.0.load(Ordering::Relaxed), times, "coerced: {coerced}");
    }
}

#[tokio::test]
async fn each_execution_has_a_time_of_its_own() {
    let runtime = LocalRuntime::new(session(1 << 20).state(), Vec::new());
    let now = async || {
        let plan = runtime.session().create_logical_plan("SELECT now()").await.unwrap();
        let rows = runtime.stream(plan, Execution::default()).await.unwrap();
        let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
        array_value_to_string(batches[0].column(0), 0).unwrap()
    };
    assert_ne!(now().await, now().await);
}
