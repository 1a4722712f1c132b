/*---
description: One row per customer with what they ordered so far
materialize: table
checks:
  - unique: [customer_id]
  - row_count: {min: 1}
---*/
WITH current_customers AS (
    SELECT customer_id, country, segment
    FROM silver.customers
    WHERE valid_to IS NULL
),
orders AS (
    SELECT
        customer_id,
        count(*) AS orders,
        sum(amount) AS spent,
        max(ordered_at) AS last_order_at
    FROM silver.orders
    WHERE status = 'paid'
    GROUP BY customer_id
)
SELECT
    c.customer_id,
    c.country,
    c.segment,
    coalesce(o.orders, 0) AS orders,
    coalesce(o.spent, 0) AS spent,
    o.last_order_at
FROM current_customers AS c
LEFT JOIN orders AS o ON o.customer_id = c.customer_id
