"""What the server answered, as Arrow, pandas, polars or plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas
    import polars

SPLIT = "split"
"""The column of a dataset that says on which side of the split a row is."""


class Frame:
    """Rows of an answer. Programs that read Arrow, such as DuckDB and polars, take it as it is."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_arrow(self) -> pa.Table:
        """The rows as they came, every type and every null kept."""
        return self._table

    def to_pandas(self, *, types_mapper: Callable[[Any], Any] | None = None) -> pandas.DataFrame:
        """A pandas frame whose types do not depend on whether a value is missing.

        Integers, booleans and text become pandas' nullable types, decimals and dates Arrow's; instants are in
        UTC. Floats stay NumPy's, where a null is NaN. `types_mapper` (Arrow type to pandas type or `None`)
        says otherwise.
        """
        frame: pandas.DataFrame = self._table.to_pandas(types_mapper=types_mapper or _pandas_type())
        return frame

    def to_polars(self) -> polars.DataFrame:
        """A polars frame."""
        import polars

        frame = polars.from_arrow(self._table)
        if not isinstance(frame, polars.DataFrame):
            raise TypeError("a table of Arrow became no polars frame")
        return frame

    def to_dict(self) -> dict[str, list[Any]]:
        """Plain Python values by column."""
        values: dict[str, list[Any]] = self._table.to_pydict()
        return values

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        names: list[str] = self._table.column_names
        return names

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} rows of {', '.join(self.columns)}>"


class Features(Frame):
    """Features of the requested entities, one row for each in the order of the request; keys come first.

    With metadata each feature is followed by `<name>__status` (`present`, `null`, `missing`, `expired`,
    `degraded`) and `<name>__event_time`.
    """

    def __init__(self, table: pa.Table, service: str | None, version: int | None) -> None:
        super().__init__(table)
        self.service = service
        """The service that was read; none for a list of features."""
        self.version = version
        """The version of the service that answered."""


class Rows(Frame):
    """The result of a query."""

    def __init__(self, table: pa.Table, truncated: bool) -> None:
        super().__init__(table)
        self.truncated = truncated
        """Whether the query has more rows than the limit."""


class Dataset(Frame):
    """Labels with the features that were known at their time."""

    def __init__(self, table: pa.Table, name: str, version: str | None) -> None:
        super().__init__(table)
        self.name = name
        """The dataset's name."""
        self.version = version
        """The version that was read."""

    @property
    def splits(self) -> dict[str, int]:
        """The sides of the split and their rows; rows within an embargo are on no side."""
        if SPLIT not in self.columns:
            return {}
        counts = pc.value_counts(self._table[SPLIT].combine_chunks())
        return {
            entry["values"]: entry["counts"] for entry in counts.to_pylist() if entry["values"] is not None
        }

    def split(self, side: str) -> Dataset:
        """The rows of one side (`train`, `validation`, `test`), without the column that says so."""
        if SPLIT not in self.columns:
            raise ValueError(f"the dataset {self.name} has no split")
        if side not in self.splits:
            raise ValueError(f"the dataset {self.name} has no side {side!r}; it has {', '.join(self.splits)}")
        rows = self._table.filter(pc.equal(self._table[SPLIT], side))
        return Dataset(rows.drop_columns([SPLIT]), self.name, self.version)


class ValueInfo(TypedDict):
    """A column with its type."""

    name: str
    type: str


class FeatureInfo(TypedDict):
    """A feature of a service."""

    name: str
    type: str
    description: str | None


class EntityInfo(TypedDict):
    """An entity with its key columns."""

    name: str
    keys: list[ValueInfo]


class ServiceInfo(TypedDict):
    """A feature service: what it gives, and what a request needs."""

    name: str
    version: int
    versions: list[int]
    description: str | None
    owner: str | None
    features: list[FeatureInfo]
    entities: list[EntityInfo]
    request: list[ValueInfo]


class ViewMaterialized(TypedDict):
    """What was carried to the online store for one view."""

    view: str
    rows: int
    table_version: int | None


class Health(TypedDict):
    """Whether a server can answer."""

    ready: bool
    waiting_for: list[str]


def _pandas_type() -> Callable[[Any], Any]:
    import pandas

    plain = {
        pa.bool_(): pandas.BooleanDtype(),
        pa.int8(): pandas.Int8Dtype(),
        pa.int16(): pandas.Int16Dtype(),
        pa.int32(): pandas.Int32Dtype(),
        pa.int64(): pandas.Int64Dtype(),
        pa.uint8(): pandas.UInt8Dtype(),
        pa.uint16(): pandas.UInt16Dtype(),
        pa.uint32(): pandas.UInt32Dtype(),
        pa.uint64(): pandas.UInt64Dtype(),
        pa.string(): pandas.StringDtype(),
        pa.large_string(): pandas.StringDtype(),
    }

    def mapped(kind: Any) -> Any:
        if pa.types.is_decimal(kind) or pa.types.is_date(kind):
            return pandas.ArrowDtype(kind)
        return plain.get(kind)

    return mapped
