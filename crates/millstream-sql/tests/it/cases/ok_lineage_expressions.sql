--- silver.x
SELECT
    CASE WHEN status = 'paid' THEN amount ELSE 0 END AS paid_amount,
    amount * quantity AS total,
    coalesce(status, 'none') AS status,
    row_number() OVER (PARTITION BY customer_id ORDER BY ordered_at) AS n,
    sum(amount) OVER (PARTITION BY customer_id) AS spent,
    1 AS one,
    order_id
FROM bronze.orders
