"""Writes labels or events of random entities as Parquet: joins_data.py KIND ROWS ENTITIES ORDER PATH

KIND is labels (id, entity, micros), newest (entity, micros, five floats) or windows (entity, micros, amount, quantity);
`micros` is the time, over 180 days, for labels over the later 90. No two events have the same time. ORDER is time or shuffled.
"""

import sys

import duckdb

kind, rows, entities, order, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
DAY = 86_400_000_000
START = 20_000 * DAY
step = 180 * DAY // rows
entity = f"(hash(i, 1) % {entities})::BIGINT AS entity"
micros = f"{START} + i * {step} + (hash(i, 2) % {step})::BIGINT AS micros"
queries = {
    "labels": f"SELECT i AS id, {entity}, {START + 90 * DAY} + (hash(i, 3) % {90 * DAY})::BIGINT AS micros",
    "newest": f"SELECT {entity}, {micros}, "
    + ", ".join(f"(hash(i, {4 + c}) % 1000000007)::DOUBLE / 1000 AS c{c}" for c in range(5)),
    "windows": f"SELECT {entity}, {micros}, (100 + hash(i, 4) % 49900)::DOUBLE / 100 AS amount, "
    "(1 + hash(i, 5) % 19)::BIGINT AS quantity",
}
by = "i" if order == "time" else "hash(i, 0)"
salt = 1 << 40 if kind == "labels" else 0
duckdb.execute(
    f"COPY ({queries[kind]} FROM (SELECT i + {salt} AS i FROM range({rows}) AS t(i)) ORDER BY {by}) "
    f"TO '{path}' (FORMAT parquet)"
)
