"""Tumbling windows of ten seconds in Pathway: stream_pathway.py FOLDER."""

import json
import os
import resource
import sys
import tempfile
import time

import pathway as pw


class Event(pw.Schema):
    ts: int
    k: int
    v: float


folder = sys.argv[1]
events = pw.io.jsonlines.read(folder, schema=Event, mode="static")
sums = events.windowby(pw.this.ts, window=pw.temporal.tumbling(duration=10_000), instance=pw.this.k).reduce(
    start=pw.this._pw_window_start,
    k=pw.this._pw_instance,
    n=pw.reducers.count(),
    total=pw.reducers.sum(pw.this.v),
)
with tempfile.TemporaryDirectory() as target:
    pw.io.csv.write(sums, os.path.join(target, "sums.csv"))
    began = time.perf_counter()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    seconds = time.perf_counter() - began
usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"seconds": seconds, "peak_bytes": usage * 1024}))
