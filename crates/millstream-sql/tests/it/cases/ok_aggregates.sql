--- gold.x
SELECT customer_id,
       count(*) FILTER (WHERE status = 'paid') AS paid,
       array_agg(order_id ORDER BY ordered_at) AS orders,
       date_trunc('day', ordered_at) AS day
FROM bronze.orders
GROUP BY customer_id, date_trunc('day', ordered_at)
HAVING sum(amount) > 10
ORDER BY customer_id
--- gold.cube
SELECT status, customer_id, sum(quantity) AS q FROM bronze.orders GROUP BY ROLLUP (status, customer_id)
