--- silver.a
SELECT 'größe — ✓' AS "größe", amuont FROM bronze.orders
--- silver.b
/* 日本語 */ SELECT '日本' AS x, zzz
FROM bronze.orders
