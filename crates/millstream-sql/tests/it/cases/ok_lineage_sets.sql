--- silver.people
SELECT customer_id, email AS label FROM bronze.customers
UNION ALL
SELECT customer_id, kind FROM bronze.events
--- silver.tags
SELECT event_id, unnest(tags) AS tag FROM bronze.events
--- silver.pairs
SELECT DISTINCT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(id, word)
--- silver.first_order
SELECT DISTINCT ON (customer_id) customer_id, order_id FROM bronze.orders ORDER BY customer_id, ordered_at
--- silver.steps
WITH RECURSIVE steps AS (
  SELECT order_id, quantity FROM bronze.orders
  UNION ALL
  SELECT order_id, quantity - 1 FROM steps WHERE quantity > 0
)
SELECT * FROM steps
