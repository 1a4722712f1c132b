/*---
description: For every paid order, whether the customer did not order again within the 30 days after it
materialize: table
checks:
  - not_null: [customer_id, as_of, churned]
---*/
WITH paid AS (
    SELECT
        customer_id,
        ordered_at,
        lead(ordered_at) OVER (PARTITION BY customer_id ORDER BY ordered_at, order_id) AS next_order_at
    FROM silver.orders
    WHERE status = 'paid'
),
-- What happened after an order of the last 30 days is not known yet.
known AS (
    SELECT max(ordered_at) - INTERVAL '30' DAY AS until FROM silver.orders
)
SELECT
    paid.customer_id,
    paid.ordered_at AS as_of,
    paid.next_order_at IS NULL OR paid.next_order_at > paid.ordered_at + INTERVAL '30' DAY AS churned
FROM paid
CROSS JOIN known
WHERE paid.ordered_at <= known.until
