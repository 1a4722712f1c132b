--- silver.a
SELECT uper(status) AS s FROM bronze.orders
--- silver.b
SELECT sum(status) AS s FROM bronze.orders
--- silver.c
SELECT date_trunc(ordered_at) AS s FROM bronze.orders
--- silver.d
SELECT frobnicate(status) AS s FROM bronze.orders
--- silver.e
SELECT * FROM no_such_function(1)
