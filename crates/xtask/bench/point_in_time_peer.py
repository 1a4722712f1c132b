"""Joins labels with the newest earlier row of their entity: point_in_time_peer.py TOOL LABELS ROWS RESULT

TOOL is duckdb or polars. Prints the seconds from rows in memory to values in memory, and the memory that reading and
joining took beyond what Python and the library held before. RESULT gets `id` and the columns as f0 to f4.
"""

import json
import sys
import time

tool, labels_path, rows_path, result = sys.argv[1:]


def memory(name):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


if tool == "duckdb":
    import duckdb

    before = memory("VmRSS")
    database = duckdb.connect()
    database.execute("SET preserve_insertion_order = false")
    database.execute(f"CREATE TABLE l AS FROM '{labels_path}'; CREATE TABLE r AS FROM '{rows_path}'")
    names = ", ".join(f"r.c{c} AS f{c}" for c in range(5))
    started = time.perf_counter()
    database.execute(
        f"CREATE TABLE joined AS SELECT l.id, {names} FROM l ASOF LEFT JOIN r ON l.entity = r.entity AND l.micros > r.micros"
    )
    seconds = time.perf_counter() - started
    peak = memory("VmHWM") - before
    database.execute(f"COPY joined TO '{result}' (FORMAT parquet)")
else:
    import polars as pl

    before = memory("VmRSS")
    labels, rows = pl.read_parquet(labels_path), pl.read_parquet(rows_path)
    started = time.perf_counter()
    joined = labels.sort("micros").join_asof(
        rows.sort("micros"), on="micros", by="entity", strategy="backward", allow_exact_matches=False, check_sortedness=False
    )
    seconds = time.perf_counter() - started
    peak = memory("VmHWM") - before
    joined.select("id", *(pl.col(f"c{c}").alias(f"f{c}") for c in range(5))).write_parquet(result)
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
