--- silver.x
SELECT c.customer_id, w.word, n.orders
FROM bronze.customers c
CROSS JOIN LATERAL (SELECT upper(c.email) AS word) w
CROSS JOIN LATERAL (SELECT count(*) AS orders FROM bronze.orders o WHERE o.customer_id = c.customer_id) n
