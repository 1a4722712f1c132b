"""Reads tables with the Python `deltalake` package and with DuckDB and compares them with what `millstream query` wrote.

Standard input holds one JSON object a line: `table`, `path`, `rows` (an Arrow IPC file), `version` or `time`, and
whether to look up the `bounds` of its columns. Differences go to standard output; exits 1 with any.
"""

import collections
import json
import os
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable


def plain(kind):
    """The type without what readers are free to choose: how long offsets are, what list items are called."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", plain(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain(field.type)) for field in kind])
    return kind


def columns(table):
    return [(field.name, str(plain(field.type))) for field in table.schema]


def rows(table):
    return collections.Counter(repr(row) for row in zip(*(column.to_pylist() for column in table.columns)))


def duck(files, names):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    listed = connection.sql(
        f"SELECT * FROM read_parquet({files!r}, union_by_name = true, hive_partitioning = false)"
    ).to_arrow_table()
    if listed.column_names != names:
        # A column that came after the last of these files was written is null in all of them.
        missing = [name for name in names if name not in listed.column_names]
        for name in missing:
            listed = listed.append_column(name, pa.nulls(listed.num_rows))
        listed = listed.select(names)
    return listed


def differences(case):
    with pa.ipc.open_file(case["rows"]) as file:
        expected = file.read_all()
    delta = DeltaTable(case["path"])
    if "version" in case:
        delta = DeltaTable(case["path"], version=case["version"])
    if "time" in case:
        delta.load_as_version(case["time"])
    actual = delta.to_pyarrow_table()
    if columns(actual) != columns(expected):
        yield f"deltalake sees the columns {columns(actual)}, millstream {columns(expected)}"
        return
    wanted = rows(expected)
    for reader, found in [("deltalake", rows(actual)), ("DuckDB", None)]:
        if found is None:
            files = delta.file_uris()
            if not files:
                continue
            listed = duck(files, expected.column_names)
            kinds = [(name, kind) for name, kind in columns(listed) if kind != "null"]
            if any(kind not in columns(expected) for kind in kinds):
                yield f"DuckDB sees the columns {columns(listed)}, millstream {columns(expected)}"
            found = rows(listed)
        if found != wanted:
            yield f"{reader}: only there {list((found - wanted))[:3]}, only here {list((wanted - found))[:3]}"
    if not case.get("bounds"):
        return
    # Readers skip files by the statistics in the log: the largest value must still be found by itself.
    dataset = delta.to_pyarrow_dataset()
    for name in expected.column_names:
        kind = expected.schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_boolean(kind) or not expected[name].drop_null():
            continue
        for bound in pc.min_max(expected[name]).values():
            wanted = pc.sum(pc.equal(expected[name], bound)).as_py()
            found = dataset.count_rows(filter=pc.field(name) == bound)
            if found != wanted:
                yield f"deltalake finds {found} of {wanted} rows with {name} = {bound}"


def main():
    cases = [json.loads(line) for line in sys.stdin]
    failed = False
    for case in cases:
        for difference in differences(case):
            print(f"{case['table']} at {case.get('version', case.get('time', 'latest'))}: {difference}")
            failed = True
    print(f"{len(cases)} readings of {len({case['table'] for case in cases})} tables", flush=True)
    # Threads of DuckDB and Arrow that want the interpreter while it ends abort the process now and then
    # (duckdb/duckdb#13904, apache/arrow#34314), so it ends without being taken apart.
    os._exit(int(failed))


main()
