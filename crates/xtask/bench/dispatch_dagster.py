"""A chain of no-op assets on Dagster, durable: dispatch_dagster.py ASSETS

Each asset waits for the one before it and does nothing. The instance keeps runs and events in SQLite, as `dagster dev` does. Importing,
and making the instance, is not measured.
"""

import json
import logging
import os
import resource
import sys
import tempfile
import time

os.environ["DO_NOT_TRACK"] = "1"

import dagster as dg  # noqa: E402

count = int(sys.argv[1])
logging.disable(logging.CRITICAL)


def chained(number):
    before = [f"a{number - 1}"] if number else []

    @dg.asset(name=f"a{number}", deps=before)
    def nothing():
        return None

    return nothing


assets = [chained(number) for number in range(count)]
with tempfile.TemporaryDirectory() as folder:
    instance = dg.DagsterInstance.local_temp(folder)
    started = time.perf_counter()
    result = dg.materialize(assets, instance=instance)
    seconds = time.perf_counter() - started
assert result.success
print(json.dumps({"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
