"""Writes rows of features as Parquet: features_data.py ROWS ENTITIES TYPES PATH

`entity` goes round 0 to ENTITIES - 1, `event_timestamp` through 30 days of January 2026, then come columns f_0, f_1, … of
TYPES, separated by commas: int64 (up to a billion) or float64 (up to ten thousand, two digits after the point).
"""

import sys

import duckdb

rows, entities, types, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), sys.argv[4]
VALUES = {"int64": "(hash(i, {c}) % 1000000000)::BIGINT", "float64": "(hash(i, {c}) % 1000000)::DOUBLE / 100"}
columns = ", ".join(f"{VALUES[name].format(c=c)} AS f_{c}" for c, name in enumerate(types))
duckdb.execute("SET TimeZone = 'UTC'")
duckdb.execute(
    f"""COPY (SELECT i % {entities} AS entity,
        make_timestamp(1767225600000000 + i * {30 * 86_400_000_000 // rows})::TIMESTAMPTZ AS event_timestamp, {columns}
        FROM range({rows}) AS t(i)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
)
