"""Tumbling windows of ten seconds in Flink: stream_flink.py FOLDER. Prints the second of two jobs in one process, which is warm."""

import json
import resource
import sys
import time

from pyflink.table import EnvironmentSettings, TableEnvironment


def job(folder):
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.get_config().set("parallelism.default", "2")
    tables.get_config().set("execution.checkpointing.interval", "10 s")
    tables.execute_sql(
        "create table events (ts bigint, k bigint, v double, happened as to_timestamp_ltz(ts, 3),"
        " watermark for happened as happened - interval '5' second)"
        f" with ('connector' = 'filesystem', 'path' = '{folder}', 'format' = 'json')"
    )
    tables.execute_sql(
        "create table sums (window_start timestamp(3), k bigint, n bigint, total double) with ('connector' = 'blackhole')"
    )
    began = time.perf_counter()
    tables.execute_sql(
        "insert into sums select window_start, k, count(*), sum(v)"
        " from table(tumble(table events, descriptor(happened), interval '10' second)) group by window_start, window_end, k"
    ).wait()
    return time.perf_counter() - began


job(sys.argv[1])
seconds = job(sys.argv[1])
usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"seconds": seconds, "peak_bytes": usage * 1024}))
