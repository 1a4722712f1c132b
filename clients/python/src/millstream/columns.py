"""What a caller has (dicts, lists of dicts, frames, Arrow) as Arrow columns, and those as JSON values.

Arrow comes first for every input, so that a column has one type before it is sent. JSON carries int64 as a
bare number, decimals as text with all their digits, instants as RFC 3339 in UTC, bytes as base64.
"""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas


class ArrowData(Protocol):
    """What hands out Arrow data: frames of pandas and polars, tables, results of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Columns = Union[Mapping[str, Any], Iterable[Mapping[str, Any]], ArrowData, "pandas.DataFrame"]
"""A mapping of column to values, a list of dicts, a pandas or polars frame, or Arrow data."""


def from_any(data: Columns, what: str) -> dict[str, pa.Array]:
    """Columns by name; `what` says in messages which argument this is.

    Raises `TypeError` for what holds no columns, `ValueError` for values that have no common type.
    """
    pandas = sys.modules.get("pandas")
    if isinstance(data, Mapping):
        return {_name(name, what): _column(values, f"{what}[{name!r}]") for name, values in data.items()}
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return _of_table(data)
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return {_name(name, what): _column(data[name], f"{what}[{name!r}]") for name in data.columns}
    if hasattr(data, "__arrow_c_stream__"):
        return _of_table(pa.table(data))
    if hasattr(data, "to_arrow"):
        return _of_table(data.to_arrow())
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        return _of_rows(list(data), what)
    raise TypeError(
        f"{what} is a {type(data).__name__}; give a dict of lists, a list of dicts or a data frame"
    )


def to_json(column: pa.Array, what: str) -> list[Any]:
    """Values that `json` writes without loss; raises `ValueError` for those that JSON cannot carry."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return to_json(column.dictionary_decode(), what)
    if pa.types.is_floating(kind):
        return _finite(column, what)
    if pa.types.is_decimal(kind):
        return [None if value is None else format(value, "f") for value in column.to_pylist()]
    if pa.types.is_timestamp(kind):
        # Through the number, because a cast of a zoned column would need a database of time zones.
        texts = column.cast(pa.int64()).cast(pa.timestamp(kind.unit)).cast(pa.string()).to_pylist()
        return [None if text is None else f"{text.replace(' ', 'T')}Z" for text in texts]
    if pa.types.is_date(kind):
        return [None if day is None else day.isoformat() for day in column.to_pylist()]
    if _is_binary(kind):
        return [None if raw is None else base64.b64encode(raw).decode("ascii") for raw in column.to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column, what)
    if pa.types.is_struct(kind):
        return _structs(column, what)
    if _is_plain(kind):
        values: list[Any] = column.to_pylist()
        return values
    raise ValueError(f"{what} has the type {kind}, which cannot be sent")


def _is_plain(kind: Any) -> bool:
    """Whether JSON has the values as they are."""
    tests = ("is_null", "is_boolean", "is_integer", "is_string", "is_large_string", "is_string_view")
    return any(_is(test, kind) for test in tests)


def _is_binary(kind: Any) -> bool:
    tests = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
    return any(_is(test, kind) for test in tests)


def _is(test: str, kind: Any) -> bool:
    # Older versions of Arrow lack the newer types and their tests.
    return bool(getattr(pa.types, test, lambda _: False)(kind))


def _of_table(table: pa.Table | pa.RecordBatch) -> dict[str, pa.Array]:
    return {name: _whole(column) for name, column in zip(table.schema.names, table.columns)}


def _of_rows(rows: Sequence[Any], what: str) -> dict[str, pa.Array]:
    """Rows may leave out what is null: the columns are those of all rows, in the order of their first use."""
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"{what}[{number}] is a {type(row).__name__}; each row is a dict")
        names.update(dict.fromkeys(row))
    return {
        _name(name, what): _column([row.get(name) for row in rows], f"{what}, column {name!r}")
        for name in names
    }


def _name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{what} has the column name {name!r}, which is no text")
    return name


def _column(values: Any, what: str) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return _whole(values)
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(f"{what} is one value; a column is a list with one value for each row")
    pandas = sys.modules.get("pandas")
    try:
        if pandas is not None and isinstance(values, pandas.Series):
            # In pandas a missing number is NaN; in Arrow the two differ.
            return _whole(pa.array(values, from_pandas=True))
        if hasattr(values, "__arrow_c_stream__"):
            return _whole(pa.chunked_array(values))
        if hasattr(values, "to_arrow"):
            return _whole(values.to_arrow())
        if not hasattr(values, "dtype"):
            values = list(values)
        return _whole(pa.array(values))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise ValueError(f"{what} has values of no common type: {error}") from error


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array, with views as plain strings and bytes."""
    if _is("is_string_view", column.type):
        column = column.cast(pa.string())
    elif _is("is_binary_view", column.type):
        column = column.cast(pa.binary())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.chunks else pa.array([], column.type)
    return column


def _finite(column: pa.Array, what: str) -> list[Any]:
    values: list[Any] = column.to_pylist()
    for row, value in enumerate(values):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{what} has {value} in row {row}, which JSON cannot carry; use None")
    return values


def _lists(column: pa.Array, what: str) -> list[Any]:
    inner = iter(to_json(column.flatten(), what))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if length is None else [next(inner) for _ in range(length)] for length in lengths]


def _structs(column: pa.Array, what: str) -> list[Any]:
    names = [field.name for field in column.type]
    parts = [to_json(part, f"{what}.{name}") for name, part in zip(names, column.flatten())]
    valid = column.is_valid().to_pylist()
    rows: list[Any] = [dict(zip(names, row)) for row in zip(*parts)] if parts else [{} for _ in valid]
    return [row if there else None for row, there in zip(rows, valid)]
