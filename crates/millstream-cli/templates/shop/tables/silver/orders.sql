/*---
description: One row per real order
materialize: incremental
key: order_id
checks:
  - not_null: [order_id, customer_id]
  - relationship: {column: customer_id, to: bronze.customers.customer_id}
halt_above: 10%
---*/
SELECT
    order_id,
    customer_id,
    category,
    quantity,
    amount,
    status,
    ordered_at
FROM bronze.orders
WHERE status <> 'test'
