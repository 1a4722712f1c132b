--- silver.recent materialize=view
SELECT count(*) AS n FROM bronze.orders WHERE ordered_at > now() - interval '5 seconds'
--- silver.kept
SELECT count(*) AS n FROM bronze.orders WHERE ordered_at > now() - interval '5 seconds'
--- silver.today
SELECT order_id, current_date AS today, current_timestamp AS at FROM bronze.orders
--- silver.chance
SELECT order_id FROM bronze.orders WHERE random() < 0.1
--- silver.of_view
SELECT n FROM silver.recent
--- silver.steady
SELECT count(*) AS n FROM bronze.orders WHERE ordered_at > timestamp '2026-01-01'
