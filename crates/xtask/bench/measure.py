"""Runs a command and writes its time and peak memory as JSON: measure.py RESULT COMMAND..."""

import json
import os
import sys
import time

result, command = sys.argv[1], sys.argv[2:]
started = time.perf_counter()
child = os.posix_spawn(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
unit = 1 if sys.platform == "darwin" else 1024
with open(result, "w", encoding="utf-8") as file:
    json.dump(
        {
            "seconds": seconds,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * unit,
        },
        file,
    )
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
