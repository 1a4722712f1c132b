"""Tumbling windows of ten seconds in Bytewax: stream_bytewax.py FOLDER EVENTS, of which it takes the first EVENTS, as it is slow."""

import json
import os
import resource
import sys
import time
from datetime import datetime, timedelta, timezone

import bytewax.operators as op
import bytewax.operators.windowing as windows
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

folder, most = sys.argv[1], int(sys.argv[2])
lines = []
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name)) as text:
        for line in text:
            if len(lines) == most:
                break
            lines.append(line)


def keyed(line):
    event = json.loads(line)
    return str(event["k"]), event


def at(event):
    return datetime.fromtimestamp(event["ts"] / 1000, timezone.utc)


def fold(state, event):
    return state[0] + 1, state[1] + event["v"]


sums = []
flow = Dataflow("sums")
events = op.map("keyed", op.input("events", flow, TestingSource(lines, batch_size=1_000)), keyed)
clock = windows.EventClock(at, wait_for_system_duration=timedelta(seconds=5))
windower = windows.TumblingWindower(
    length=timedelta(seconds=10), align_to=datetime(2026, 1, 1, tzinfo=timezone.utc)
)
folded = windows.fold_window(
    "fold", events, clock, windower, lambda: (0, 0.0), fold, lambda a, b: (a[0] + b[0], a[1] + b[1])
)
op.output("sums", folded.down, TestingSink(sums))
began = time.perf_counter()
run_main(flow)
seconds = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_bytes": usage * 1024, "rows": len(sums), "events": len(lines)}))
