"""Ends badly unless reads answer with the rows of a Parquet file: read_check.py URL DATA"""

import json
import sys
import urllib.request

import polars as pl

url, data = sys.argv[1:]
rows = pl.read_parquet(data).sample(100, seed=1)
body = json.dumps({"service": "fs_0", "entities": {"entity": rows["entity"].to_list()}}).encode()
request = urllib.request.Request(url, body, {"content-type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as answer:
    columns = json.load(answer)["columns"]
wanted = {name for name in rows.columns if name.startswith("f_")}
if {name.split(".")[-1] for name in columns} != wanted:
    sys.exit(f"other columns: {list(columns)}")
for name, column in columns.items():
    if column["values"] != rows[name.split(".")[-1]].to_list():
        sys.exit(f"{name}: {column['values'][:3]}, not {rows[name.split('.')[-1]].to_list()[:3]}")
