--- silver.a
SELECT order_id FROM bronze.orders VERSION AS OF 3
--- silver.b
SELECT order_id FROM bronze.orders FOR SYSTEM_TIME AS OF '2026-01-01'
