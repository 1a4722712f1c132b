--- silver.a
SELECT order_id, count(*), amount * 2 FROM bronze.orders GROUP BY order_id, amount
--- silver.b
SELECT o.customer_id, c.customer_id FROM bronze.orders o JOIN bronze.customers c ON o.customer_id = c.customer_id
--- silver.c
SELECT order_id AS a, amount AS "A", status AS "the status" FROM bronze.orders
--- silver.d
SELECT NULL AS nothing, ordered_at - ordered_at AS span, order_id FROM bronze.orders
--- silver.e
SELECT *, 1 AS order_id FROM bronze.orders
--- silver.f
SELECT order_id, order_id FROM bronze.orders
--- silver.g
SELECT
  order_id,
  -- order_id again
  customer_id AS order_id
FROM bronze.orders
--- silver.h
SELECT n.a FROM (SELECT amount AS a, status AS a FROM bronze.orders) n
--- silver.i
SELECT named_struct('net amount', amount) AS s, [named_struct('a', 1, 'A', 2)] AS t FROM bronze.orders
