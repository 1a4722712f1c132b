/*---
description: How many visits reach each step, by device
materialize: table
---*/
SELECT
    device,
    count(DISTINCT session_id) AS visits,
    count(DISTINCT CASE WHEN event_type = 'product_view' THEN session_id END) AS viewed,
    count(DISTINCT CASE WHEN event_type = 'add_to_cart' THEN session_id END) AS added,
    count(DISTINCT CASE WHEN event_type = 'purchase' THEN session_id END) AS purchased
FROM silver.events
GROUP BY device
