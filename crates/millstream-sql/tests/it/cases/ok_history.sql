--- silver.customers materialize=history key=customer_id time=created_at
SELECT customer_id, email, country, created_at FROM bronze.customers
--- gold.current materialize=view
SELECT customer_id, valid_from FROM silver.customers WHERE valid_to IS NULL
