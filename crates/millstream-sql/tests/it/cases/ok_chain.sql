--- gold.revenue
SELECT country, sum(amount) AS revenue, count(*) AS orders
FROM silver.enriched GROUP BY country
--- silver.enriched materialize=view
SELECT o.order_id, o.amount, c.country, upper(c.email) AS email
FROM bronze.orders o JOIN bronze.customers c ON o.customer_id = c.customer_id
WHERE o.status = 'paid'
--- silver.rejected_orders
SELECT _check, count(*) AS n FROM bronze.orders__rejected GROUP BY _check
