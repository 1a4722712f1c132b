--- silver.a
DELETE FROM bronze.orders
--- silver.b
SELECT 1 AS a; SELECT 2 AS b
--- silver.c
-- nothing here
--- silver.d
CREATE TABLE x AS SELECT 1
--- silver.e
SELECT order_id INTO other FROM bronze.orders
--- silver.f
COPY bronze.orders TO '/tmp/x.csv'
--- silver.g
SELECT 1 AS a; -- and then
DROP TABLE bronze.orders;
--- silver.h
SELECT ';' AS a;;
WITH x AS (SELECT 1) SELECT * FROM x
