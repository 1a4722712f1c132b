//! Merged and partitioned tables: after each step the table equals the query computed anew, and only keys
//! whose rows differ are replaced.

use std::collections::BTreeMap;

use millstream_sql::incremental::{Change, Keep, Maintenance, Strategy};

use super::world::{Cell, Dice, Kept, World, inputs, plan, session, texts};

fn merge(key: &[&str]) -> Keep {
    Keep::Merge { key: key.iter().map(|&name| name.to_owned()).collect() }
}

fn partition(grain: &'static str) -> Keep {
    Keep::Partition { time: "ordered_at".into(), grain }
}

const STEPS: usize = 8;
const SEEDS: u64 = 4;

/// Builds, then changes the inputs step by step; `followed` says whether keys are followed or all is computed.
async fn check(name: &str, sql: &str, keep: Keep, followed: bool) {
    let session = session();
    let plan = plan(&session, sql).await;
    let maintenance = Maintenance::new(&plan, keep).unwrap_or_else(|error| panic!("{name}: {error}"));
    match maintenance.strategy() {
        Strategy::Keyed { whole_for, .. } => {
            assert!(followed, "{name} is followed");
            assert_eq!(whole_for, &vec![], "{name}");
        }
        other => assert!(!followed, "{name}: {other}"),
    }
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed * 7919 + name.len() as u64);
        let mut world = World::random(&mut dice);
        let first = inputs(&world, &world, &mut dice, false);
        let mut kept = Kept::build(&session, &maintenance, &first, 0).await.unwrap();
        for step in 0..STEPS {
            // In every other step, rows only come.
            let only_added = step % 2 == 1;
            let next = world.step(&mut dice, only_added);
            let changes = inputs(&world, &next, &mut dice, !only_added);
            let before = kept.batches.clone();
            let place = format!("{name}, seed {seed}, step {step}");
            // In one step, there is room for hardly any key.
            let room = if step == 3 { 2 } else { 1_000 };
            let change = kept
                .limited(&session, &changes, 0, false, room)
                .await
                .unwrap_or_else(|e| panic!("{place}: {e:?}"));
            let replaced = match &change {
                Change::Replace { keys, .. } => Some(texts(std::slice::from_ref(keys.batch()))),
                _ => None,
            };
            kept.apply(&session, change).await.unwrap();
            let anew = Kept::build(&session, &maintenance, &changes, 0).await.unwrap();
            assert_eq!(kept.rows(), anew.rows(), "{place}\nold {world:?}\nnew {next:?}");
            if let (Some(replaced), Keep::Merge { key }) = (replaced, &keep_of(&maintenance)) {
                differ(&kept, &before, &replaced, key, &place);
            }
            let again = kept.change(&session, &changes, 0, false).await.unwrap();
            assert!(matches!(again, Change::Nothing), "{place}: a second refresh gives {again:?}");
            world = next;
        }
    }
}

fn keep_of(maintenance: &Maintenance) -> Keep {
    match maintenance.strategy() {
        Strategy::Keyed { key, .. } | Strategy::FullDiff { key, .. } => Keep::Merge { key: key.clone() },
        _ => Keep::Whole,
    }
}

/// Checks that each replaced key has other rows than before.
fn differ(
    kept: &Kept,
    before: &[arrow::array::RecordBatch],
    replaced: &[String],
    key: &[String],
    place: &str,
) {
    let by_key = |batches: &[arrow::array::RecordBatch]| -> Option<BTreeMap<String, Vec<String>>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for batch in batches {
            let at: Option<Vec<usize>> = key.iter().map(|name| batch.schema().index_of(name).ok()).collect();
            let at = at?;
            for row in 0..batch.num_rows() {
                let row = batch.slice(row, 1);
                let key = texts(&[row.project(&at).unwrap()]).remove(0);
                found.entry(key).or_default().push(texts(&[row]).remove(0));
            }
        }
        Some(found)
    };
    let (Some(before), Some(after)) = (by_key(before), by_key(&kept.batches)) else { return };
    for key in replaced {
        assert_ne!(before.get(key), after.get(key), "{place}: {key} is replaced by the same");
    }
}

/// Nothing that is in the table can change, so nothing of it is read or replaced; a key that comes again is found.
#[tokio::test]
async fn rows_with_keys_of_their_own_are_added() {
    let session = session();
    let plan = plan(&session, "SELECT amount AS key, status FROM bronze.orders").await;
    let maintenance = Maintenance::new(&plan, merge(&["key"])).unwrap();
    let order = |id, amount| {
        let text = Cell::Text(Some("paid".into()));
        vec![Cell::Int(Some(id)), Cell::Int(Some(id)), Cell::Int(amount), text, Cell::Time(None)]
    };
    let mut dice = Dice::new(1);
    let mut world = World::random(&mut dice);
    world.0.insert("bronze.orders", vec![order(1, Some(10))]);
    let first = inputs(&world, &world, &mut dice, false);
    let mut kept = Kept::build(&session, &maintenance, &first, 0).await.unwrap();
    let mut with = |world: &World, amount| {
        let mut next = world.clone();
        let orders = next.0.get_mut("bronze.orders").unwrap();
        orders.push(order(i64::try_from(orders.len()).unwrap() + 1, amount));
        (inputs(world, &next, &mut dice, false), next)
    };

    let (changes, world) = with(&world, Some(20));
    let change = kept.change(&session, &changes, 0, false).await.unwrap();
    assert!(matches!(change, Change::Add { .. }), "{change:?}");
    kept.apply(&session, change).await.unwrap();
    assert_eq!(kept.rows().len(), 2);

    let again = kept.change(&session, &with(&world, Some(10)).0, 0, false).await.unwrap_err();
    assert_eq!(again.to_string(), "the key is not unique: 2 rows have `key` = 10");
    let null = kept.change(&session, &with(&world, None).0, 0, false).await.unwrap_err();
    assert_eq!(null.to_string(), "the key column `key` is null in 1 row");
}

macro_rules! shapes {
    ($($name:ident: $followed:expr, $keep:expr, $sql:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            check(stringify!($name), $sql, $keep, $followed).await;
        })*
    };
}

shapes! {
    filter: true, merge(&["order_id"]),
        "SELECT order_id, amount, status FROM bronze.orders WHERE status <> 'test'";
    expression_key: true, merge(&["twice"]),
        "SELECT order_id * 2 AS twice, upper(status) AS status FROM bronze.orders";
    inner_join: true, merge(&["order_id"]),
        "SELECT o.order_id, o.amount, c.name FROM bronze.orders o JOIN bronze.customers c USING (customer_id)";
    comma_join: true, merge(&["order_id"]),
        "SELECT o.order_id, c.name FROM bronze.orders o, bronze.customers c WHERE o.customer_id = c.customer_id AND c.country = 'de'";
    join_with_condition: true, merge(&["order_id"]),
        "SELECT o.order_id, c.name FROM bronze.orders o JOIN bronze.customers c ON o.customer_id = c.customer_id AND o.amount > length(c.name)";
    left_join: true, merge(&["order_id"]),
        "SELECT o.order_id, c.name, c.country FROM bronze.orders o LEFT JOIN bronze.customers c ON o.customer_id = c.customer_id";
    left_join_where_null: true, merge(&["order_id"]),
        "SELECT o.order_id, o.amount FROM bronze.orders o LEFT JOIN bronze.customers c ON o.customer_id = c.customer_id WHERE c.name IS NULL";
    key_of_the_optional_side: true, merge(&["customer_id", "order_id"]),
        "SELECT o.order_id, coalesce(c.customer_id, -1) AS customer_id FROM bronze.orders o LEFT JOIN bronze.customers c ON o.customer_id = c.customer_id";
    right_join: true, merge(&["order_id"]),
        "SELECT o.order_id, c.name FROM bronze.customers c RIGHT JOIN bronze.orders o ON o.customer_id = c.customer_id";
    full_join: true, merge(&["customer_id"]),
        "SELECT coalesce(a.customer_id, c.customer_id) AS customer_id, a.n, c.name
         FROM (SELECT customer_id, count(*) AS n FROM bronze.orders WHERE customer_id IS NOT NULL GROUP BY customer_id) a
         FULL JOIN bronze.customers c ON a.customer_id = c.customer_id";
    full_join_using: true, merge(&["order_id", "event_id"]),
        "SELECT coalesce(order_id, -1) AS order_id, coalesce(e.event_id, -1) AS event_id, o.amount
         FROM bronze.orders o FULL JOIN (SELECT * FROM bronze.events WHERE order_id IS NOT NULL) e USING (order_id)";
    semi_join: true, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders WHERE customer_id IN (SELECT customer_id FROM bronze.customers WHERE country = 'de')";
    anti_join: true, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders o WHERE NOT EXISTS (SELECT 1 FROM bronze.events e WHERE e.order_id = o.order_id AND e.kind = 'buy')";
    not_in: true, merge(&["customer_id"]),
        "SELECT customer_id, name FROM bronze.customers WHERE customer_id NOT IN (SELECT customer_id FROM bronze.orders WHERE amount = 20)";
    not_in_of_nullable: true, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders WHERE customer_id NOT IN (SELECT order_id FROM bronze.events WHERE kind = 'buy' AND event_id < 5)";
    exists_or: true, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders o WHERE amount > 30 OR EXISTS (SELECT 1 FROM bronze.events e WHERE e.order_id = o.order_id)";
    aggregate_having: true, merge(&["customer_id"]),
        "SELECT customer_id, sum(amount) AS total, count(*) AS n FROM bronze.orders WHERE customer_id IS NOT NULL GROUP BY customer_id HAVING count(*) > 1";
    aggregate_of_join: true, merge(&["country", "status"]),
        "SELECT coalesce(c.country, '?') AS country, o.status, sum(o.amount) AS total FROM bronze.orders o JOIN bronze.customers c USING (customer_id) GROUP BY c.country, o.status";
    aggregate_of_left_join: true, merge(&["customer_id"]),
        "SELECT c.customer_id, count(o.order_id) AS n FROM bronze.customers c LEFT JOIN bronze.orders o ON o.customer_id = c.customer_id GROUP BY c.customer_id";
    cte_used_twice: true, merge(&["order_id"]),
        "WITH paid AS (SELECT * FROM bronze.orders WHERE status = 'paid'), totals AS (SELECT customer_id, sum(amount) AS total FROM paid GROUP BY customer_id)
         SELECT p.order_id, p.amount, t.total FROM paid p JOIN totals t ON p.customer_id = t.customer_id";
    union_all_of_kinds: true, merge(&["kind", "id"]),
        "SELECT 'order' AS kind, order_id AS id, status AS word FROM bronze.orders UNION ALL SELECT 'customer', customer_id, name FROM bronze.customers";
    union_distinct: true, merge(&["id"]),
        "SELECT order_id AS id FROM bronze.orders UNION SELECT order_id FROM bronze.events WHERE order_id IS NOT NULL";
    distinct: true, merge(&["customer_id", "status"]),
        "SELECT DISTINCT customer_id, status FROM bronze.orders WHERE customer_id IS NOT NULL";
    distinct_on: true, merge(&["customer_id"]),
        "SELECT DISTINCT ON (customer_id) customer_id, order_id, amount FROM bronze.orders WHERE customer_id IS NOT NULL ORDER BY customer_id, order_id";
    latest_per_key: true, merge(&["order_id"]),
        "SELECT order_id, kind, event_id FROM (SELECT *, row_number() OVER (PARTITION BY order_id ORDER BY at DESC) AS rn FROM bronze.events WHERE order_id IS NOT NULL) WHERE rn = 1";
    latest_then_aggregate: true, merge(&["kind"]),
        "WITH latest AS (SELECT order_id, kind, row_number() OVER (PARTITION BY order_id ORDER BY at DESC) AS rn FROM bronze.events)
         SELECT kind, count(*) AS n, max(order_id) AS last FROM latest WHERE rn = 1 GROUP BY kind";
    latest_then_join: true, merge(&["customer_id", "order_id"]),
        "WITH latest AS (SELECT order_id, kind, row_number() OVER (PARTITION BY order_id ORDER BY at) AS rn FROM bronze.events)
         SELECT c.customer_id, o.order_id, l.kind FROM latest l JOIN bronze.orders o ON l.order_id = o.order_id JOIN bronze.customers c ON o.customer_id = c.customer_id WHERE l.rn = 1";
    windows_per_customer: true, merge(&["order_id"]),
        "SELECT order_id, rank() OVER (PARTITION BY customer_id ORDER BY amount) AS r, lag(order_id) OVER (PARTITION BY customer_id ORDER BY order_id) AS previous,
         sum(amount) OVER (PARTITION BY customer_id) AS total FROM bronze.orders";
    windows_of_two_partitions: true, merge(&["order_id"]),
        "SELECT order_id, count(*) OVER (PARTITION BY customer_id) AS a, count(*) OVER (PARTITION BY status) AS b FROM bronze.orders";
    rank_of_aggregates: true, merge(&["customer_id"]),
        "SELECT c.customer_id, rank() OVER (PARTITION BY c.country ORDER BY sum(o.amount) DESC NULLS LAST) AS place FROM bronze.customers c JOIN bronze.orders o USING (customer_id) GROUP BY c.customer_id, c.country";
    keyed_by_rank: true, merge(&["country", "place"]),
        "SELECT coalesce(country, '?') AS country, place, customer_id FROM (SELECT country, customer_id, row_number() OVER (PARTITION BY country ORDER BY name) AS place FROM bronze.customers)";
    self_join: true, merge(&["order_id"]),
        "SELECT a.order_id, count(b.order_id) AS earlier FROM bronze.orders a LEFT JOIN bronze.orders b ON a.customer_id = b.customer_id AND b.order_id < a.order_id GROUP BY a.order_id";
    self_join_pairs: true, merge(&["one", "other"]),
        "SELECT a.order_id AS one, b.order_id AS other FROM bronze.orders a JOIN bronze.orders b ON a.amount = b.amount AND a.status = b.status";
    three_way_join: true, merge(&["event_id"]),
        "SELECT e.event_id, e.kind, o.amount, c.country FROM bronze.events e JOIN bronze.orders o ON e.order_id = o.order_id JOIN bronze.customers c ON o.customer_id = c.customer_id";
    three_way_left_join: true, merge(&["event_id"]),
        "SELECT e.event_id, o.amount, c.country FROM bronze.events e LEFT JOIN bronze.orders o ON e.order_id = o.order_id LEFT JOIN bronze.customers c ON o.customer_id = c.customer_id";
    scalar_subquery: true, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders WHERE amount = (SELECT max(amount) FROM bronze.orders)";
    scalar_in_select: true, merge(&["order_id"]),
        "SELECT order_id, (SELECT count(*) FROM bronze.customers) AS customers FROM bronze.orders";
    correlated_subquery: true, merge(&["customer_id"]),
        "SELECT c.customer_id, (SELECT count(*) FROM bronze.orders o WHERE o.customer_id = c.customer_id) AS n FROM bronze.customers c";
    enriched_with_aggregate: true, merge(&["order_id"]),
        "SELECT o.order_id, o.amount, a.total FROM bronze.orders o JOIN (SELECT customer_id, sum(amount) AS total FROM bronze.orders GROUP BY customer_id) a ON o.customer_id = a.customer_id";
    aggregate_of_aggregate: true, merge(&["n"]),
        "SELECT n, count(*) AS customers FROM (SELECT customer_id, count(*) AS n FROM bronze.orders GROUP BY customer_id) GROUP BY n";
    join_on_aggregate: true, merge(&["order_id"]),
        "SELECT o.order_id, o.amount FROM bronze.orders o JOIN (SELECT customer_id, max(amount) AS m FROM bronze.orders GROUP BY customer_id) x ON o.customer_id = x.customer_id AND o.amount = x.m";
    except: true, merge(&["customer_id"]),
        "SELECT customer_id FROM bronze.customers EXCEPT SELECT customer_id FROM bronze.orders";
    intersect: true, merge(&["customer_id"]),
        "SELECT customer_id FROM bronze.customers INTERSECT SELECT customer_id FROM bronze.orders";
    rollup: true, merge(&["status", "country"]),
        "SELECT coalesce(status, 'all') AS status, coalesce(country, 'all') AS country, total FROM (SELECT o.status, coalesce(c.country, '?') AS country, sum(amount) AS total
         FROM bronze.orders o JOIN bronze.customers c USING (customer_id) GROUP BY ROLLUP (o.status, coalesce(c.country, '?')))";
    one_row: true, merge(&["id"]),
        "SELECT 1 AS id, count(*) AS n, sum(amount) AS total FROM bronze.orders";
    count_of_union: true, merge(&["id"]),
        "SELECT 1 AS id, count(*) AS n FROM (SELECT order_id FROM bronze.orders UNION ALL SELECT event_id FROM bronze.events)";
    unnest: true, merge(&["event_id", "word"]),
        "SELECT event_id, unnest(string_to_array(kind, ',')) AS word, at FROM bronze.events";
    join_of_written_rows: true, merge(&["order_id"]),
        "SELECT o.order_id, v.label FROM bronze.orders o JOIN (VALUES ('paid', 'done'), ('open', 'waiting')) AS v(status, label) ON o.status = v.status";
    constant_key: true, merge(&["source", "order_id"]),
        "SELECT 'shop' AS source, order_id, amount FROM bronze.orders";
    days: true, partition("day"),
        "SELECT date_trunc('day', ordered_at) AS ordered_at, status, sum(amount) AS total FROM bronze.orders GROUP BY date_trunc('day', ordered_at), status";
    rows_of_months: true, partition("month"),
        "SELECT o.order_id, o.ordered_at, o.amount, c.country FROM bronze.orders o LEFT JOIN bronze.customers c USING (customer_id)";
    rows_of_years: true, partition("year"),
        "SELECT ordered_at, amount FROM bronze.orders";
    limit: false, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders ORDER BY order_id DESC LIMIT 3";
    limit_by_days: false, partition("day"),
        "SELECT ordered_at, amount FROM bronze.orders ORDER BY order_id DESC LIMIT 5";
    today: false, merge(&["order_id"]),
        "SELECT order_id, amount FROM bronze.orders WHERE ordered_at < now()";
    window_over_all: false, merge(&["order_id"]),
        "SELECT order_id, row_number() OVER (ORDER BY amount, order_id) AS place FROM bronze.orders";
}
