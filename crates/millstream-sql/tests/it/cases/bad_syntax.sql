--- silver.a
SELECT order_id,
       FROM WHERE bronze.orders
--- silver.b
SELECT 'open FROM bronze.orders
--- silver.c
SELECT order_id FROM bronze.orders GROUP
--- silver.d
SELEC order_id FROM bronze.orders
