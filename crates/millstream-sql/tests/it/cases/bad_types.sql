--- silver.a
SELECT order_id FROM bronze.orders WHERE status > 5
--- silver.b
SELECT order_id FROM bronze.orders WHERE ordered_at = quantity
--- silver.c
SELECT o.order_id FROM bronze.orders o JOIN bronze.customers c ON o.order_id = c.email
--- silver.d
SELECT status + ordered_at AS x FROM bronze.orders
--- silver.e
SELECT order_id FROM bronze.orders WHERE amount
--- silver.f
SELECT order_id FROM bronze.orders WHERE amount = 'many' OR amount = '12'
--- silver.g
SELECT order_id FROM bronze.orders UNION SELECT email, country FROM bronze.customers
--- silver.h
SELECT order_id FROM bronze.orders WHERE quantity AND status = 'x'
--- silver.i
SELECT order_id FROM bronze.orders WHERE status IN (1, 2)
