--- silver.a
SELECT * FROM silver.b
--- silver.b
SELECT * FROM
  silver.c
--- silver.c
SELECT * FROM silver.a
--- silver.d
SELECT order_id FROM silver.d
--- silver.e
SELECT no_such FROM silver.a
--- silver.f
SELECT _check FROM silver.f__rejected
