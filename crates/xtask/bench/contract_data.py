"""A million deterministic rows of seven columns for the contract bench: contract_data.py ROWS PATH"""

import sys

import duckdb

rows, path = int(sys.argv[1]), sys.argv[2]
duckdb.execute(
    f"""COPY (
    SELECT
        i AS order_id,
        (hash(i) % 200000)::BIGINT AS customer_id,
        CASE WHEN i % 1000 = 7 THEN -1 ELSE 1 + (hash(i + 1) % 99900)::BIGINT / 100 END::DOUBLE AS amount,
        (1 + hash(i + 2) % 9)::INTEGER AS quantity,
        ['paid', 'open', 'sent', 'returned', 'cancelled'][1 + (hash(i + 3) % 5)::INTEGER] AS status,
        'customer' || (hash(i) % 200000)::VARCHAR || '@shop.example' AS email,
        TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds((i * 3)::BIGINT) AS ordered_at
    FROM range({rows}) AS t(i)
) TO '{path}' (FORMAT parquet)"""
)
