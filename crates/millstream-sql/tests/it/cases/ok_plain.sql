--- silver.orders materialize=merge key=order_id
-- One row per order.
SELECT order_id, customer_id, amount, status, ordered_at FROM bronze.orders WHERE status <> 'test'
