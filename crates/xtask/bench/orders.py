"""Writes deterministic orders, one in a thousand dirty: orders.py FORMAT ROWS FIRST PATH

FORMAT is csv, jsonl or parquet; FIRST is the number of the first order.
"""

import sys

import duckdb

form, rows, first, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
options = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet, COMPRESSION zstd"}[form]
query = f"""
    SELECT
        i AS order_id,
        (hash(i) % 200000)::BIGINT AS customer_id,
        CASE WHEN i % 1000 = 7 THEN -1 ELSE 1 + (hash(i + 1) % 99900)::BIGINT / 100 END::DECIMAL(12,2) AS amount,
        (1 + hash(i + 2) % 9)::INTEGER AS quantity,
        ['paid', 'open', 'sent', 'returned', 'cancelled'][1 + (hash(i + 3) % 5)::INTEGER] AS status,
        'customer' || (hash(i) % 200000)::VARCHAR || '@shop.example' AS email,
        ['DE', 'FR', 'PL', 'IT', 'ES', 'SE', 'NL', 'US'][1 + (hash(i + 4) % 8)::INTEGER] AS country,
        strftime(TIMESTAMP '2026-01-01' + to_seconds((i * 3)::BIGINT), '%Y-%m-%dT%H:%M:%SZ') AS ordered_at
    FROM range({first}, {first + rows}) AS t(i)
"""
if form == "parquet":
    query = query.replace("strftime(TIMESTAMP", "(TIMESTAMP").replace(", '%Y-%m-%dT%H:%M:%SZ')", ")")
duckdb.execute(f"COPY ({query}) TO '{path}' ({options})")
