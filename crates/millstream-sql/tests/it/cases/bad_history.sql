--- silver.a materialize=history key=order_id
SELECT order_id, ordered_at AS valid_from, status FROM bronze.orders
--- gold.b
SELECT order_id, valid_from, valid_to FROM silver.a
--- silver.c materialize=history key=order_id
SELECT order_id, ordered_at AS Valid_To FROM bronze.orders
