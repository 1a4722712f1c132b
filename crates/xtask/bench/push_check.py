"""Pushes rows and reads each back: push_check.py HOST:PORT COUNT

Prints percentiles of the seconds from the start of a push to the end of the read that saw it; ends badly when a read does
not see it.
"""

import datetime
import http.client
import json
import sys
import time

address, count = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(address, timeout=30)
START = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)


def post(path, body):
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status} {text.decode()}")
    return json.loads(text)


seconds = []
for number in range(count):
    entity = number * 7919 % 10000
    row = {"entity": [entity], "event_timestamp": [(START + datetime.timedelta(seconds=number)).isoformat()]}
    row |= {f"f_{column}": [number + column] for column in range(10)}
    started = time.perf_counter()
    post("/v1/features/views/fv_0/push", {"rows": row})
    answer = post("/v1/features/read", {"service": "fs_0", "entities": {"entity": [entity]}})
    seconds.append(time.perf_counter() - started)
    seen = answer["columns"]["fv_0.f_3"]["values"]
    if seen != [number + 3]:
        sys.exit(f"push {number} of entity {entity} was answered, then a read said {seen}")
seconds.sort()
print(json.dumps({"p50": seconds[count // 2], "p99": seconds[count * 99 // 100], "max": seconds[-1]}))
