--- silver.order
SELECT "order_id" AS "group", o.status AS "Status" FROM bronze.orders AS o
--- silver.select
SELECT "group", "Status" FROM silver."order"
