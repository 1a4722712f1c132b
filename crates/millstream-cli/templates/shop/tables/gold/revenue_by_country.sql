/*---
description: Revenue by country; a view, computed when it is asked
materialize: view
---*/
SELECT country, count(*) AS customers, sum(orders) AS orders, sum(spent) AS revenue
FROM gold.customer_value
GROUP BY country
