/*---
description: Events with the product's category, in the order of their arrival
materialize: incremental
checks:
  - not_null: [event_id, session_id]
---*/
SELECT
    event_id,
    session_id,
    customer_id,
    event_type,
    CASE WHEN event_type IN ('product_view', 'add_to_cart') THEN split_part(page, '/', 2) END AS category,
    device,
    occurred_at
FROM bronze.events
