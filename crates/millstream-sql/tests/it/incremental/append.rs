//! Append-only tables: added rows are added, removed rows are taken out exactly, and other queries are refused.

use millstream_sql::incremental::{Change, IncrementalError, Keep, Maintenance};

use super::world::{Dice, Kept, World, inputs, plan, session};

async fn check(name: &str, sql: &str) {
    let session = session();
    let plan = plan(&session, sql).await;
    let maintenance = Maintenance::new(&plan, Keep::Append).unwrap();
    for seed in 0..6 {
        for only_added in [true, false] {
            let mut dice = Dice::new(seed * 31 + name.len() as u64);
            let mut world = World::random(&mut dice);
            let first = inputs(&world, &world, &mut dice, false);
            let mut kept = Kept::build(&session, &maintenance, &first, 0).await.unwrap();
            for step in 0..6 {
                let next = world.step(&mut dice, only_added);
                let changes = inputs(&world, &next, &mut dice, !only_added);
                let place = format!("{name}, seed {seed}, step {step}");
                let change = kept.change(&session, &changes, 0, false).await.unwrap();
                if only_added {
                    assert!(matches!(change, Change::Add { .. } | Change::Nothing), "{place}: {change:?}");
                }
                kept.apply(&session, change).await.unwrap();
                let anew = Kept::build(&session, &maintenance, &changes, 0).await.unwrap();
                assert_eq!(kept.rows(), anew.rows(), "{place}\nold {world:?}\nnew {next:?}");
                world = next;
            }
        }
    }
}

macro_rules! shapes {
    ($($name:ident: $sql:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            check(stringify!($name), $sql).await;
        })*
    };
}

shapes! {
    filter: "SELECT status, amount FROM bronze.orders WHERE status <> 'test'";
    join: "SELECT o.status, c.name FROM bronze.orders o JOIN bronze.customers c USING (customer_id)";
    comma_join: "SELECT o.status, c.name FROM bronze.orders o, bronze.customers c WHERE o.customer_id = c.customer_id";
    cross_join: "SELECT o.status, c.name FROM bronze.orders o CROSS JOIN bronze.customers c";
    self_join: "SELECT a.status, b.amount FROM bronze.orders a JOIN bronze.orders b ON a.customer_id = b.customer_id";
    three_way_join: "SELECT e.kind, o.amount, c.name FROM bronze.events e JOIN bronze.orders o ON e.order_id = o.order_id JOIN bronze.customers c ON o.customer_id = c.customer_id";
    union_all: "SELECT status AS word FROM bronze.orders UNION ALL SELECT name FROM bronze.customers UNION ALL SELECT 'end'";
    unnest: "SELECT event_id, unnest(string_to_array(kind, ',')) AS word FROM bronze.events";
    join_of_written_rows: "SELECT o.order_id, v.label FROM bronze.orders o JOIN (VALUES ('paid', 'done'), ('open', 'waiting')) AS v(status, label) ON o.status = v.status";
}

#[tokio::test]
async fn queries_that_need_earlier_rows_are_refused() {
    let cases = [
        ("SELECT status, count(*) FROM bronze.orders GROUP BY status", "an aggregate"),
        ("SELECT DISTINCT status FROM bronze.orders", "a DISTINCT"),
        ("SELECT row_number() OVER (ORDER BY order_id) FROM bronze.orders", "a window function"),
        (
            "SELECT o.order_id FROM bronze.orders o LEFT JOIN bronze.customers c USING (customer_id)",
            "a left join",
        ),
        ("SELECT order_id FROM bronze.orders LIMIT 3", "a LIMIT"),
        (
            "SELECT order_id FROM bronze.orders WHERE customer_id IN (SELECT customer_id FROM bronze.customers)",
            "a subquery",
        ),
        ("SELECT order_id FROM bronze.orders UNION SELECT event_id FROM bronze.events", "a DISTINCT"),
    ];
    let session = session();
    for (sql, expected) in cases {
        let plan = plan(&session, sql).await;
        match Maintenance::new(&plan, Keep::Append) {
            Err(error @ IncrementalError::NotAppendable { .. }) => {
                assert!(error.to_string().contains(expected), "{sql}: {error}");
                assert_eq!(error.hint().as_deref(), Some("give it a `key`, or `materialize: table`"));
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_clock_in_the_query_keeps_rows_from_being_taken_out() {
    let session = session();
    let plan = plan(&session, "SELECT order_id, now() AS loaded_at FROM bronze.orders").await;
    let maintenance = Maintenance::new(&plan, Keep::Append).unwrap();
    let mut dice = Dice::new(5);
    let world = World::random(&mut dice);
    let first = inputs(&world, &world, &mut dice, false);
    let kept = Kept::build(&session, &maintenance, &first, 0).await.unwrap();
    let mut next = world.clone();
    next.0.get_mut("bronze.orders").unwrap().pop();
    let changes = inputs(&world, &next, &mut dice, false);
    let error = kept.change(&session, &changes, 0, false).await.unwrap_err();
    assert!(error.to_string().contains("now() gives another value on each run"), "{error}");
}
