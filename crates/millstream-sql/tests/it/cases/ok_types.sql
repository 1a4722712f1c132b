--- silver.x
SELECT arrow_cast(quantity, 'UInt32') AS u, now() AS at, cast(ordered_at AS date) AS d,
       struct(order_id, status) AS s, [order_id] AS ids, count(*) OVER () AS n
FROM bronze.orders
