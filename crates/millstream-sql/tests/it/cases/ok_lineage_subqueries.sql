--- silver.x
WITH paid AS (SELECT * FROM bronze.orders WHERE status = 'paid'),
     best AS (SELECT customer_id, max(amount) AS top FROM paid GROUP BY customer_id)
SELECT c.customer_id,
       (SELECT max(e.at) FROM bronze.events e WHERE e.customer_id = c.customer_id) AS seen_at,
       b.top
FROM bronze.customers c LEFT JOIN best b ON b.customer_id = c.customer_id
WHERE c.customer_id IN (SELECT customer_id FROM paid)
  AND EXISTS (SELECT 1 FROM bronze.events v WHERE v.customer_id = c.customer_id)
