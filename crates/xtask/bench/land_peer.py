"""DuckDB reads a file and writes Parquet, without any check: land_peer.py FORMAT INPUT OUTPUT"""

import json
import resource
import sys
import time

import duckdb

form, source, target = sys.argv[1:]
reader = {"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}[form]
options = ", format = 'newline_delimited'" if form == "jsonl" else ""
started = time.perf_counter()
duckdb.execute(f"COPY (SELECT * FROM {reader}('{source}'{options})) TO '{target}' (FORMAT parquet)")
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
