"""What is sent for what a caller has."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from millstream.columns import from_any, to_json

UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
NOON_SENT = "2026-03-01T12:00:00.000250Z"
LISBON_SUMMER = datetime.timezone(datetime.timedelta(hours=1))


def sent(values: Any) -> Any:
    """The JSON of one column, as a server would read it."""
    column = from_any({"c": values}, "rows")["c"]
    return json.loads(json.dumps(to_json(column, "rows['c']"), allow_nan=False))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([None, None], [None, None]),
        ([True, None], [True, None]),
        ([2**53 + 1, -(2**63), None], [2**53 + 1, -(2**63), None]),
        ([1.5, None], [1.5, None]),
        (["", "é\n", None], ["", "é\n", None]),
        ([b"\x00\xff", None], ["AP8=", None]),
        ([Decimal("0.10"), Decimal("-1E+3"), None], ["0.10", "-1000.00", None]),
        ([Decimal("12345678901234567890.123456789")], ["12345678901234567890.123456789"]),
        ([datetime.date(2026, 3, 1), None], ["2026-03-01", None]),
        ([NOON, None], [NOON_SENT, None]),
        ([NOON.astimezone(LISBON_SUMMER)], [NOON_SENT]),
        ([NOON.replace(tzinfo=None)], [NOON_SENT]),
        ([[1, None], [], None], [[1, None], [], None]),
        ([[Decimal("1.5")], None, [Decimal("2.25")]], [["1.50"], None, ["2.25"]]),
        ([{"a": 1, "b": [NOON]}, None], [{"a": 1, "b": [NOON_SENT]}, None]),
        ((1, 2), [1, 2]),
        (range(2), [0, 1]),
        (np.array([1, 2]), [1, 2]),
        (np.array([[1.0, 2.0]]).ravel(), [1.0, 2.0]),
        (np.array(["2026-03-01T12:00:00.000250"], "datetime64[ns]"), ["2026-03-01T12:00:00.000250000Z"]),
        (pd.Series([1.0, np.nan]), [1.0, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series(["a", None, "a"], dtype="category"), ["a", None, "a"]),
        (pd.Series([NOON, pd.NaT], dtype="datetime64[ns, UTC]"), ["2026-03-01T12:00:00.000250000Z", None]),
        (pd.Series([b"\x00\xff"]), ["AP8="]),
        (pl.Series(["a", None]), ["a", None]),
        (pl.Series([NOON]), [NOON_SENT]),
        (pl.Series([[1], []]), [[1], []]),
        (pl.Series([Decimal("1.50")]), ["1.50"]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)), [[1.0, 2.0], None]),
        (pa.chunked_array([], pa.int64()), []),
        (pa.chunked_array([[1], [2]]), [1, 2]),
        (pa.array([1, 2, 3, 4])[1:3], [2, 3]),
        (pa.array([[1], [2, 3], None])[1:], [[2, 3], None]),
    ],
)
def test_every_type_is_sent_without_loss(values: Any, expected: Any) -> None:
    assert sent(values) == expected


@pytest.mark.parametrize("instant", [1, 1_000_000, -1, 253_402_300_799_999_999])
def test_instants_are_sent_to_the_microsecond(instant: int) -> None:
    (text,) = sent(pa.array([instant], pa.timestamp("us", "Europe/Lisbon")))
    assert datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) == datetime.datetime.fromtimestamp(
        0, UTC
    ) + datetime.timedelta(microseconds=instant)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"a": 1}, {"b": "x"}], {"a": [1, None], "b": [None, "x"]}),
        (({"a": row} for row in range(2)), {"a": [0, 1]}),
        ([], {}),
        (pd.DataFrame({"a": [1.0, np.nan]}, index=[7, 9]), {"a": [1.0, None]}),
        (pl.DataFrame({"a": [1, None], "b": ["x", None]}), {"a": [1, None], "b": ["x", None]}),
        (pa.RecordBatch.from_pydict({"a": [1]}), {"a": [1]}),
    ],
)
def test_rows_come_in_any_shape(rows: Any, expected: Any) -> None:
    assert {name: to_json(column, name) for name, column in from_any(rows, "rows").items()} == expected


@pytest.mark.parametrize(
    ("rows", "kind", "said"),
    [
        ({"a": 1}, TypeError, r"rows\['a'\] is one value"),
        ({"a": "one"}, TypeError, r"rows\['a'\] is one value"),
        ({1: [1]}, TypeError, "column name 1"),
        (7, TypeError, "rows is a int"),
        ("churn", TypeError, "rows is a str"),
        ([{"a": 1}, 2], TypeError, r"rows\[1\] is a int"),
        ({"a": [1, "x"]}, ValueError, r"rows\['a'\] has values of no common type"),
        ({"a": [2**64]}, ValueError, r"rows\['a'\]"),
        ({"a": [object()]}, ValueError, r"rows\['a'\]"),
        ({"a": [1.0, float("nan")]}, ValueError, r"rows\['a'\] has nan in row 1"),
        ({"a": np.array([np.inf])}, ValueError, r"rows\['a'\] has inf in row 0"),
        ({"a": [[1.0], [float("-inf")]]}, ValueError, r"rows\['a'\] has -inf"),
        ({"a": [datetime.timedelta(1)]}, ValueError, "cannot be sent"),
    ],
)
def test_what_cannot_be_sent_says_where_it_stands(rows: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        _ = {name: to_json(column, f"rows[{name!r}]") for name, column in from_any(rows, "rows").items()}
