"""JSON events in event time, a millisecond apart and up to two seconds out of order, in a folder: stream_data.py EVENTS FOLDER. The files
of `numbers` have their time in milliseconds, as the peers read it fastest; the file of `texts` has it as RFC 3339."""

import json
import os
import random
import sys
from datetime import datetime, timedelta, timezone

FILES = 4
START = datetime(2026, 1, 1, tzinfo=timezone.utc)

events, folder = int(sys.argv[1]), sys.argv[2]
dice = random.Random(7)
numbers, texts = os.path.join(folder, "numbers"), os.path.join(folder, "texts")
os.makedirs(numbers)
os.makedirs(texts)
begin = int(START.timestamp() * 1_000)


def line(**event):
    return json.dumps(event, separators=(",", ":")) + "\n"


with open(os.path.join(texts, "events.jsonl"), "w") as one:
    for file in range(FILES):
        with open(os.path.join(numbers, f"{file}.jsonl"), "w") as part:
            for index in range(file * events // FILES, (file + 1) * events // FILES):
                late = index - dice.randrange(2_000)
                key, value = dice.randrange(1_000), round(dice.random() * 100, 3)
                at = (START + timedelta(milliseconds=late)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                part.write(line(ts=begin + late, k=key, v=value))
                one.write(line(at=at, k=key, v=value))
