--- silver.a
SELECT * FROM bronze.order
--- silver.b
SELECT * FROM orders JOIN silver.nothing_like_it ON true
--- silver.c
SELECT * FROM lake.bronze.orders
--- silver.d
WITH t AS (SELECT 1 AS x) SELECT * FROM t, u
--- silver.e
SELECT * FROM silver.a
--- silver.quoted_file
SELECT *
FROM '/etc/passwd'
