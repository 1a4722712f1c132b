"""Reads every entity from 0 to COUNT - 1 of the service `fs_0`: read_all.py URL COUNT"""

import json
import sys
import urllib.request

AT_ONCE = 5_000

url, count = sys.argv[1], int(sys.argv[2])
for start in range(0, count, AT_ONCE):
    entities = list(range(start, min(start + AT_ONCE, count)))
    body = json.dumps({"service": "fs_0", "entities": {"entity": entities}, "metadata": "none"}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        if json.load(answer)["rows"] != len(entities):
            sys.exit(f"the entities from {start} were not all read")
