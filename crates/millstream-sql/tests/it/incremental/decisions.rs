//! What is decided without data, and what bad keys say.

use millstream_sql::incremental::{IncrementalError, InputChange, Inputs, Keep, Maintenance};

use super::world::{Cell, Dice, Kept, World, inputs, plan, provider, schema_of, session};

fn merge(key: &[&str]) -> Keep {
    Keep::Merge { key: key.iter().map(|&name| name.to_owned()).collect() }
}

#[tokio::test]
async fn a_sentence_says_what_a_change_costs() {
    let cases = [
        (
            "SELECT order_id FROM bronze.orders",
            Keep::Append,
            "only the rows that the inputs gained run through the query and are added",
        ),
        (
            "SELECT order_id FROM bronze.orders",
            merge(&["order_id"]),
            "only values of order_id that the inputs' changes reach are computed anew",
        ),
        (
            "SELECT order_id, ordered_at FROM bronze.orders",
            Keep::Partition { time: "ordered_at".into(), grain: "day" },
            "only values of day of ordered_at that the inputs' changes reach are computed anew",
        ),
        (
            "SELECT order_id FROM bronze.orders LIMIT 5",
            merge(&["order_id"]),
            "everything is computed anew and only values of order_id that differ are replaced, because it has a \
             LIMIT, where one row more pushes another out",
        ),
        (
            "SELECT o.order_id, r.place FROM bronze.orders o JOIN (SELECT customer_id, row_number() OVER (ORDER BY name) AS place FROM bronze.customers) r USING (customer_id)",
            merge(&["order_id"]),
            "only values of order_id that the inputs' changes reach are computed anew; a change of \
             bronze.customers computes everything, because it has a window function over all rows (no PARTITION BY)",
        ),
        (
            "SELECT order_id FROM bronze.orders",
            Keep::Whole,
            "everything is computed anew, because it is materialized as a table",
        ),
    ];
    let session = session();
    for (sql, keep, expected) in cases {
        let plan = plan(&session, sql).await;
        let maintenance = Maintenance::new(&plan, keep).unwrap();
        assert_eq!(maintenance.strategy().to_string(), expected, "{sql}");
    }
}

#[tokio::test]
async fn keys_that_are_no_columns_are_named_with_the_nearest() {
    let session = session();
    let plan = plan(&session, "SELECT order_id, status FROM bronze.orders").await;
    let error = Maintenance::new(&plan, merge(&["oder_id"])).unwrap_err();
    assert_eq!(error.to_string(), "`oder_id` is not a column of the query, so it cannot be a key");
    assert_eq!(error.hint().as_deref(), Some("did you mean `order_id`?"));
    let error = Maintenance::new(&plan, Keep::Partition { time: "status".into(), grain: "day" }).unwrap_err();
    assert!(error.to_string().starts_with("`status` is a Utf8, but the time of partitions"), "{error}");
}

async fn refresh_error(sql: &str, key: &[&str]) -> (IncrementalError, IncrementalError) {
    let session = session();
    let plan = plan(&session, sql).await;
    let maintenance = Maintenance::new(&plan, merge(key)).unwrap();
    let mut dice = Dice::new(3);
    let world = World::random(&mut dice);
    let mut next = world.clone();
    let rows = next.0.get_mut("bronze.orders").unwrap();
    rows.clear();
    for (id, amount) in [(1, Some(7)), (2, Some(7)), (3, None)] {
        rows.push(vec![
            Cell::Int(Some(id)),
            Cell::Int(Some(1)),
            Cell::Int(amount),
            Cell::Text(Some("paid".into())),
            Cell::Time(None),
        ]);
    }
    let changes = inputs(&world, &next, &mut dice, false);
    let built = match Kept::build(&session, &maintenance, &changes, 0).await {
        Err(error) => error,
        Ok(_) => panic!("{sql} builds"),
    };
    let empty = Kept { maintenance, batches: Vec::new() };
    (built, empty.change(&session, &changes, 0, false).await.unwrap_err())
}

#[tokio::test]
async fn a_key_in_two_rows_is_an_error_that_shows_it() {
    let (built, refreshed) =
        refresh_error("SELECT amount, order_id FROM bronze.orders WHERE amount IS NOT NULL", &["amount"])
            .await;
    for error in [built, refreshed] {
        assert_eq!(error.to_string(), "the key is not unique: 2 rows have `amount` = 7");
        assert_eq!(error.code(), "MS-0264");
    }
}

#[tokio::test]
async fn a_null_key_is_an_error() {
    let (built, refreshed) = refresh_error("SELECT amount, order_id FROM bronze.orders", &["amount"]).await;
    for error in [built, refreshed] {
        assert_eq!(error.to_string(), "the key column `amount` is null in 1 row");
    }
}

#[tokio::test]
async fn a_version_from_before_a_column_reads_as_nulls() {
    let session = session();
    let plan = plan(&session, "SELECT order_id, status FROM bronze.orders").await;
    let maintenance = Maintenance::new(&plan, merge(&["order_id"])).unwrap();
    let mut dice = Dice::new(11);
    let rows = World::random(&mut dice).0["bronze.orders"].clone();
    let schema = schema_of("bronze.orders");
    let narrow = std::sync::Arc::new(schema.project(&[0, 1, 2]).unwrap());
    let old = provider(&narrow, &rows);
    let unchanged = Inputs::new().with("bronze.orders", InputChange::unchanged(old.clone()));
    let mut kept = Kept::build(&session, &maintenance, &unchanged, 0).await.unwrap();
    assert!(kept.rows().iter().all(|row| row.ends_with("∅")));
    let change = InputChange {
        removed: Some(old.clone()),
        old,
        new: provider(&schema, &rows),
        added: Some(provider(&schema, &rows)),
    };
    let changes = Inputs::new().with("bronze.orders", change);
    let change = kept.change(&session, &changes, 0, false).await.unwrap();
    kept.apply(&session, change).await.unwrap();
    assert_eq!(kept.rows(), Kept::build(&session, &maintenance, &changes, 0).await.unwrap().rows());
}

#[tokio::test]
async fn keys_tell_where_they_lie() {
    let session = session();
    let sql = "SELECT order_id, ordered_at, amount FROM bronze.orders WHERE ordered_at IS NOT NULL";
    let plan = plan(&session, sql).await;
    let keep = Keep::Partition { time: "ordered_at".into(), grain: "day" };
    let maintenance = Maintenance::new(&plan, keep).unwrap();
    let mut dice = Dice::new(2);
    let world = World::random(&mut dice);
    let first = inputs(&world, &world, &mut dice, false);
    let kept = Kept::build(&session, &maintenance, &first, 0).await.unwrap();
    let mut next = world.clone();
    next.0.get_mut("bronze.orders").unwrap().push(vec![
        Cell::Int(Some(99)),
        Cell::Int(None),
        Cell::Int(None),
        Cell::Text(None),
        Cell::Time(Some(super::world::START + 400 * super::world::DAY + 5)),
    ]);
    let changes = inputs(&world, &next, &mut dice, false);
    let change = kept.change(&session, &changes, 0, false).await.unwrap();
    let millstream_sql::incremental::Change::Replace { keys, .. } = change else { panic!("{change:?}") };
    assert_eq!(keys.len(), 1);
    let (least, greatest) = keys.ranges()[0].bounds.clone().unwrap();
    assert_eq!(least, greatest);
    assert_eq!(
        keys.predicate().unwrap().to_string(),
        "ordered_at >= TimestampMicrosecond(1738627200000000, Some(\"UTC\")) AND \
         ordered_at < TimestampMicrosecond(1738713600000000, Some(\"UTC\"))"
    );
}
