"""Ten windowed features of each label in DuckDB: windows_peer.py QUERY LABELS EVENTS RESULT

QUERY is join (each label with all events of 90 days, aggregated under conditions) or frames (labels among the events,
window functions whose frames start where the window does). A window of 12 hours and more starts on the hour, of 12 days and
more on the day (UTC), a shorter one on five minutes. Prints the seconds from rows in memory to values in memory, and
the memory beyond what Python and the library held before.
"""

import json
import sys
import time

import duckdb

query, labels, events, result = sys.argv[1:]
MINUTE = 60_000_000
HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE


def start(length, micros):
    hop = DAY if length >= 12 * DAY else HOUR if length >= 12 * HOUR else 5 * MINUTE
    return f"({micros} - {length} - ({micros} - {length}) % {hop})"


FEATURES = [
    ("count(seen)", 5 * MINUTE),
    ("count(seen)", HOUR),
    ("sum(amount)", 12 * HOUR),
    ("sum(amount)", 7 * DAY),
    ("avg(amount)", 30 * DAY),
    ("avg(amount)", 90 * DAY),
    ("min(amount)", 7 * DAY),
    ("max(amount)", 30 * DAY),
    ("sum(quantity)", 90 * DAY),
    ("last(quantity)", 90 * DAY),
]


def joined(aggregate, length):
    aggregate = aggregate.replace("last(quantity)", "arg_max(quantity, e.micros)").replace("seen", "*")
    return f"{aggregate} FILTER (e.micros >= {start(length, 'l.micros')})"


def framed(aggregate, length):
    aggregate = aggregate.replace("last(quantity)", "last_value(quantity IGNORE NULLS)")
    frame = f"RANGE BETWEEN micros - {start(length, 'micros')} PRECEDING AND 1 PRECEDING"
    return f"{aggregate} OVER (PARTITION BY entity ORDER BY micros {frame})"


def listed(expression):
    return ", ".join(f"{expression(*feature)} AS f{at}" for at, feature in enumerate(FEATURES))


QUERIES = {
    "join": f"""SELECT l.id, {listed(joined)} FROM l LEFT JOIN e
        ON e.entity = l.entity AND e.micros < l.micros AND e.micros >= {start(90 * DAY, "l.micros")} GROUP BY l.id""",
    "frames": f"""SELECT * FROM (SELECT id, {listed(framed)} FROM (
        SELECT NULL::BIGINT AS id, entity, micros, amount, quantity, true AS seen FROM e
        UNION ALL SELECT id, entity, micros, NULL, NULL, NULL FROM l)) WHERE id IS NOT NULL""",
}


def memory(name):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


before = memory("VmRSS")
database = duckdb.connect()
database.execute("SET preserve_insertion_order = false")
database.execute(f"CREATE TABLE l AS FROM '{labels}'; CREATE TABLE e AS FROM '{events}'")
started = time.perf_counter()
database.execute(f"CREATE TABLE computed AS {QUERIES[query]}")
seconds = time.perf_counter() - started
peak = memory("VmHWM") - before
database.execute(f"COPY computed TO '{result}' (FORMAT parquet)")
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
