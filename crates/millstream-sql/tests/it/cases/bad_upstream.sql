--- gold.x
SELECT anything FROM silver.y
--- silver.y
SELECT nothing FROM bronze.orders
--- silver.z
SELECT order_id FROM bronze.orders
