/*---
description: Orders and revenue by day and category; a day is computed anew when one of its orders changes
materialize: incremental
time: day
partition: day
checks:
  - not_null: [day]
  - range: {column: revenue, min: 0}
---*/
SELECT
    date_trunc('day', ordered_at) AS day,
    category,
    count(*) AS orders,
    sum(quantity) AS items,
    sum(amount) AS revenue
FROM silver.orders
WHERE status = 'paid'
GROUP BY date_trunc('day', ordered_at), category
