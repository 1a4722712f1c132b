/*---
description: Every state of every customer, with valid_from and valid_to
materialize: history
key: customer_id
time: updated_at
checks:
  - not_null: [customer_id, email]
---*/
SELECT customer_id, name, lower(email) AS email, country, segment, birth_year, newsletter, updated_at
FROM bronze.customers
