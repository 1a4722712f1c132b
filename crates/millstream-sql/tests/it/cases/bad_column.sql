--- silver.a
SELECT order_id, amuont FROM bronze.orders
--- silver.b
SELECT o.order_id, o.custmer_id, x.status FROM bronze.orders AS o
--- silver.c
SELECT customer_id FROM bronze.orders o JOIN bronze.customers c ON o.customer_id = c.customer_id
--- silver.d
SELECT order_id FROM bronze.orders WHERE statuss = 'paid' ORDER BY orderd_at
--- silver.e
SELECT count(*) AS n FROM bronze.orders GROUP BY statu
--- silver.f
SELECT order_id, sum(amount) AS s FROM bronze.orders GROUP BY customer_id
