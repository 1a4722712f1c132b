--- silver.a materialize=merge key=ordr_id
SELECT order_id FROM bronze.orders
--- silver.b materialize=partition time=status
SELECT order_id, status FROM bronze.orders
--- silver.c materialize=history key=customer_id time=nothing
SELECT customer_id, created_at AS valid_from FROM bronze.customers
--- silver.d materialize=merge key=tags
SELECT tags FROM bronze.events
