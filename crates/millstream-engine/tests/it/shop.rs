//! A small shop with every kind of asset, and the parts that arrive in three rounds.

use crate::harness::{Definition, Script, World};

/// Three sources, six tables, a view, features and a dataset.
pub(crate) const SHOP: &str = r#"
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract:
  columns:
    order_id: {type: int64, required: true, unique: true}
    customer_id: {type: int64, required: true}
    amount: {type: "decimal(12,2)", required: true, range: [0, 1000]}
    status: {type: string, one_of: [paid, pending, test]}
    ordered_at: {type: timestamp, required: true}
  time: ordered_at
  evolution: add_columns
  on_violation: quarantine
  halt_above: 60%
=== sources/customers.yaml
connector: {type: scripted, place: customers}
contract:
  columns:
    customer_id: {type: int64, required: true}
    country: {type: string, required: true}
    updated_at: {type: timestamp, required: true}
  checks:
    - unique: [customer_id, updated_at]
  on_violation: quarantine
=== sources/events.yaml
connector: {type: scripted, place: events}
contract:
  columns:
    event_id: {type: int64, required: true}
    customer_id: {type: int64}
    kind: {type: string}
    occurred_at: {type: timestamp, required: true}
  on_violation: quarantine
=== tables/silver/orders.sql
/*---
materialize: incremental
key: order_id
checks:
  - range: {column: amount, max: 500}
---*/
SELECT order_id, customer_id, amount, status, ordered_at FROM bronze.orders WHERE status <> 'test'
=== tables/silver/customers.sql
/*---
materialize: history
key: customer_id
time: updated_at
---*/
SELECT customer_id, country, updated_at FROM bronze.customers
=== tables/silver/events.sql
/*---
materialize: incremental
---*/
SELECT event_id, customer_id, kind, occurred_at FROM bronze.events
=== tables/gold/daily.sql
/*---
materialize: incremental
time: day
partition: day
---*/
SELECT date_trunc('day', ordered_at) AS day, count(*) AS orders, sum(amount) AS revenue
FROM silver.orders GROUP BY date_trunc('day', ordered_at)
=== tables/gold/value.sql
/*---
materialize: table
checks:
  - unique: [customer_id]
  - row_count: {min: 1}
---*/
SELECT c.customer_id, c.country, count(o.order_id) AS orders
FROM silver.customers AS c LEFT JOIN silver.orders AS o ON o.customer_id = c.customer_id
WHERE c.valid_to IS NULL GROUP BY c.customer_id, c.country
=== tables/gold/labels.sql
/*---
materialize: table
---*/
SELECT customer_id, ordered_at AS as_of, amount > 50 AS big FROM silver.orders
=== tables/gold/by_country.sql
/*---
materialize: view
---*/
SELECT country, count(*) AS customers FROM gold.value GROUP BY country
=== features/customer.yaml
entity:
  name: customer
  key: customer_id
views:
  orders:
    from: silver.orders
    time: ordered_at
    features:
      orders_90d: {count: "*", window: 90d}
      spent_90d: {sum: amount, window: 90d}
      last_status: {last: status}
  visits:
    from: silver.events
    time: occurred_at
    features:
      events_30d: {count: "*", window: 30d}
      favourite: {most_frequent: kind, window: 90d}
services:
  churn_v1: [orders.*, visits.*]
=== datasets/churn.yaml
labels: {from: gold.labels, entity: customer, time: as_of, columns: [customer_id, as_of, big]}
features: churn_v1
"#;

const ORDERS: &str = "order_id,customer_id,amount,status,ordered_at\n";
const EVENTS: &str = "event_id,customer_id,kind,occurred_at\n";
const CUSTOMERS: &str = "customer_id,country,updated_at\n";

/// What comes in a round: new, grown, replaced and touched parts, rows that break the contract, a further column.
pub(crate) fn arrive(script: &Script, round: u32) {
    match round {
        0 => {
            let rows = "1,1,10.00,paid,2026-06-01T10:00:00Z\n2,2,20.00,pending,2026-06-01T11:00:00Z\n\
                        3,1,-5.00,paid,2026-06-02T10:00:00Z\n1,3,7.00,paid,2026-06-02T11:00:00Z\n\
                        4,3,700.00,paid,2026-06-03T10:00:00Z\nbroken\n5,2,80.00,test,2026-06-03T11:00:00Z\n";
            script.put("orders", "a", &format!("{ORDERS}{rows}"));
            let rows = "1,DE,2026-05-01T00:00:00Z\n2,FR,2026-05-01T00:00:00Z\n3,IT,2026-05-02T00:00:00Z\n";
            script.put("customers", "a", &format!("{CUSTOMERS}{rows}"));
            let rows = "1,1,view,2026-06-01T09:00:00Z\n2,1,cart,2026-06-01T09:30:00Z\n\
                        3,2,view,2026-06-02T09:00:00Z\nx,2,view,2026-06-02T09:00:00Z\n";
            script.put("events", "a", &format!("{EVENTS}{rows}"));
            script.put("events", "b", &format!("{EVENTS}4,3,view,2026-06-03T09:00:00Z\n"));
        }
        1 => {
            script.append(
                "orders",
                "a",
                "6,1,60.00,paid,2026-06-04T10:00:00Z\n2,9,1.00,paid,2026-06-04T11:00:00Z",
            );
            let rows = "7,2,70.00,paid,2026-06-01T12:00:00Z,SUMMER\n8,3,-8.00,paid,2026-06-05T10:00:00Z,\n";
            script.put(
                "orders",
                "b",
                &format!("order_id,customer_id,amount,status,ordered_at,coupon\n{rows}"),
            );
            let rows = "1,ES,2026-06-10T00:00:00Z\n4,DE,2026-06-10T00:00:00Z\n";
            script.put("customers", "b", &format!("{CUSTOMERS}{rows}"));
            script.append("events", "a", "5,1,buy,2026-06-04T09:00:00Z");
            script.touch("events", "b");
        }
        _ => {
            let rows = "1,1,11.00,paid,2026-06-01T10:00:00Z\n2,2,20.00,paid,2026-06-01T11:00:00Z\n\
                        9,1,900.00,paid,2026-06-06T10:00:00Z\n";
            script.put("orders", "a", &format!("{ORDERS}{rows}"));
            script.put("customers", "c", &format!("{CUSTOMERS}2,DE,2026-06-20T00:00:00Z\n"));
            script.append("events", "b", "6,3,cart,2026-06-07T09:00:00Z\n7,,view,2026-06-07T09:00:00Z");
        }
    }
}

/// A shop in which the first `rounds` rounds were run, an hour apart; what the next brings is there.
pub(crate) async fn shop(rounds: u32) -> World {
    let world = World::new(Definition::of(SHOP));
    arrive(&world.definition.script, 0);
    for round in 1..=rounds {
        world.run().await;
        world.clock.pass(3_600);
        arrive(&world.definition.script, round);
    }
    world
}
