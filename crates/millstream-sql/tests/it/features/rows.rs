//! Events read from tables: the newest version, a chosen one, or certain rows.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float32Array, Int64Array, ListArray, RecordBatch,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type};
use async_trait::async_trait;
use datafusion::{catalog::TableProvider, datasource::MemTable};
use futures::TryStreamExt;
use millstream_features::view::ViewDefinition;
use millstream_sql::{
    At, Resolved, SessionOptions, SqlError, SqlSession, TableResolver,
    features::{EventInput, RowEvents, event_rows},
};
use millstream_types::TableName;

use super::{CUSTOMER, customer, view};
use crate::support::name;

/// Version n of `silver.orders` has n rows; the newest is 3.
#[derive(Debug)]
struct Orders;

fn orders(rows: i64) -> Arc<dyn TableProvider> {
    let count = usize::try_from(rows).unwrap();
    let times = || {
        let times = TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| row * 1_000_000));
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let words = |word: &str| Arc::new(StringViewArray::from_iter_values(vec![word; count])) as ArrayRef;
    let amounts = Decimal128Array::from_iter_values((0..rows).map(i128::from));
    let element = Arc::new(Field::new("element", DataType::Float32, true));
    let vectors = ListArray::new(
        element,
        OffsetBuffer::from_lengths(vec![2; count]),
        Arc::new(Float32Array::from(vec![0.5; 2 * count])),
        None,
    );
    let batch = RecordBatch::try_from_iter([
        ("customer_id", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef),
        ("amount", Arc::new(amounts.with_precision_and_scale(12, 2).unwrap())),
        ("status", words("paid")),
        ("category", words("tea")),
        ("embedding", Arc::new(vectors)),
        ("ordered_at", times()),
        ("_ingested_at", times()),
        ("_sequence", Arc::new(Int64Array::from_iter_values(0..rows))),
    ])
    .unwrap();
    Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap())
}

#[async_trait]
impl TableResolver for Orders {
    async fn resolve(&self, table: &TableName, at: At) -> Result<Option<Resolved>, SqlError> {
        let is_orders = *table == name("silver.orders");
        Ok(match at {
            At::Latest if is_orders => Some(Resolved::Table(orders(3))),
            At::Version(version) if is_orders => Some(Resolved::Table(orders(version))),
            _ => None,
        })
    }

    fn known_tables(&self) -> Vec<TableName> {
        vec![name("silver.orders")]
    }
}

async fn read(definition: &ViewDefinition, input: Option<EventInput>) -> Result<RecordBatch, SqlError> {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SessionOptions { memory_bytes: 64 << 20, spill_dir: folder.path().into(), target_partitions: 2 };
    let session = SqlSession::open(options, Arc::new(Orders)).unwrap();
    let inputs: BTreeMap<_, _> = input.into_iter().map(|input| (name("silver.orders"), input)).collect();
    let stream = event_rows(&session, definition, inputs).await?;
    let batches: Vec<_> = stream.try_collect().await.map_err(SqlError::from_datafusion)?;
    Ok(concat_batches(&definition.event_schema(), &batches).unwrap())
}

#[tokio::test]
async fn events_have_the_shape_of_the_definition() {
    let shop = customer(CUSTOMER);
    let definition = &shop.features.views["orders"].definition;
    let events = read(definition, None).await.unwrap();
    assert_eq!(events.schema(), definition.event_schema());
    assert_eq!(events.num_rows(), 3);
    assert_eq!(events.column(3).as_primitive::<Int64Type>().values(), &[0, 1, 2]);
    assert_eq!(events.column(6).as_string::<i32>().value(0), "tea");
}

#[tokio::test]
async fn events_are_read_at_a_version_or_of_certain_rows() {
    let shop = customer(CUSTOMER);
    let definition = &shop.features.views["orders"].definition;
    for (input, rows) in [
        (EventInput::At(At::Version(2)), 2),
        (EventInput::Rows(orders(1)), 1),
        (EventInput::At(At::Latest), 3),
    ] {
        assert_eq!(read(definition, Some(input)).await.unwrap().num_rows(), rows);
    }
    let missing = read(definition, Some(EventInput::At(At::Timestamp(millstream_types::TimestampMicros(0)))));
    assert!(matches!(missing.await.unwrap_err(), SqlError::NotBuilt { .. }));
}

#[tokio::test]
async fn vectors_and_dates_are_brought_into_their_types() {
    let text = view("      b: {vector_mean: \"arrow_cast(embedding, 'FixedSizeList(2, Float32)')\"}\n")
        + "  days:\n    from: silver.orders\n    sql: SELECT customer_id, ordered_at::date AS day FROM silver.orders\n    time: day\n    features: {n: {count: \"*\"}}\n";
    let shop = customer(&text);
    let events = read(&shop.features.views["orders"].definition, None).await.unwrap();
    assert_eq!(events.column(4).data_type().to_string(), "FixedSizeList(2 x Float64)");
    let events = read(&shop.features.views["days"].definition, None).await.unwrap();
    assert_eq!(events.num_columns(), 4);
    assert_eq!(events.column(2).null_count(), 3);
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_type_ends_the_stream() {
    let text = view("      b: {vector_mean: \"arrow_cast(embedding, 'FixedSizeList(3, Float32)')\"}\n");
    let shop = customer(&text);
    assert!(read(&shop.features.views["orders"].definition, None).await.is_err());
}

/// The rows of the table as one batch.
async fn rows_of(table: &Arc<dyn TableProvider>) -> RecordBatch {
    let state = datafusion::prelude::SessionContext::new().state();
    let plan = table.scan(&state, None, &[], None).await.unwrap();
    let batches = datafusion::physical_plan::collect(plan, state.task_ctx()).await.unwrap();
    concat_batches(&table.schema(), &batches).unwrap()
}

#[tokio::test]
async fn rows_become_the_events_that_the_query_gives() {
    let sql = "  picked:\n    from: silver.orders\n    sql: SELECT o.customer_id, o.amount * 2 AS twice, o.ordered_at, o._ingested_at, o._sequence FROM silver.orders AS o WHERE o.customer_id <> 1 AND coalesce(o.status, 'none') = 'paid'\n    time: ordered_at\n    features: {t: {sum: twice, where: \"twice > 0.01\", window: 1h}, r: {max: \"twice / 3\"}}\n";
    let text = format!(
        "{}{sql}",
        view(
            "      n: {count: \"*\", where: \"status = 'paid'\", window: 1d}
      b: {vector_mean: \"arrow_cast(embedding, 'FixedSizeList(2, Float32)')\"}
      u: {last: \"upper(category)\"}
"
        )
    );
    let shop = customer(&text);
    for view in shop.features.views.values() {
        let compiled = RowEvents::compile(&view.definition, &shop.analysis).unwrap();
        assert_eq!(*compiled.table(), name("silver.orders"));
        for rows in [0, 1, 3] {
            let table = orders(rows);
            let expected = read(&view.definition, Some(EventInput::Rows(table.clone()))).await.unwrap();
            let found = compiled.of(&rows_of(&table).await).unwrap();
            assert_eq!(found, expected, "{} of {rows} rows", view.definition.name);
        }
    }
}

#[test]
fn views_whose_events_are_of_several_rows_are_refused() {
    let text = "entity: {name: customer, key: customer_id}\nviews:\n  days:\n    from: silver.orders\n    sql: SELECT customer_id, max(ordered_at) AS newest FROM silver.orders GROUP BY customer_id\n    time: newest\n    features: {n: {count: \"*\"}}\n";
    let shop = customer(text);
    let error = RowEvents::compile(&shop.features.views["days"].definition, &shop.analysis).unwrap_err();
    assert!(error.to_string().contains("not made of one row"), "{error}");
}
