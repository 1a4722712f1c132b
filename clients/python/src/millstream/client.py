"""The client: one method for each thing that a server does."""

from __future__ import annotations

import datetime
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Union
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from millstream.answers import Dataset, Features, Health, Rows, ServiceInfo, ViewMaterialized
from millstream.columns import Columns, from_any, to_json
from millstream.transport import Transport

DEFAULT_URL = "http://127.0.0.1:6566"
VERSION = "x-millstream-version"
"""Header with the version of the service or dataset that answered."""
TRUNCATED = "x-millstream-truncated"
"""Header that says whether rows beyond the limit were cut off."""

Instant = Union[datetime.datetime, str]
"""A `datetime` (without a zone it is UTC) or RFC 3339 text."""
PushTarget = Literal["online", "offline", "online_and_offline"]


class Client:
    """A connection to a Millstream server, for use in many calls and from many threads.

    `timeout` is in seconds, `None` waits forever. Reads are repeated up to `retries` times when the server
    cannot be reached or is too busy; what changes something is never sent twice. Every failure is a
    `MillstreamError`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        timeout: float | None = 30.0,
        retries: int = 2,
    ) -> None:
        self._transport = Transport(url, token, timeout, retries)

    def get_online_features(
        self,
        features: str | Sequence[str],
        entities: Columns,
        request: Columns | None = None,
        *,
        at: Instant | None = None,
        metadata: bool = False,
        encoding: str | None = None,
    ) -> Features:
        """The features of each entity, now or `at` an instant, in the order of `entities`.

        `features` is a service (`"churn_v1"`, or `"churn_v1@3"` for its version 3) or a list of features
        (`["orders.spend_30d", "visits.*"]`). `entities` holds the key columns and `request` the values that
        on-demand features take, each as a dict of lists, a list of dicts, or a pandas, polars or Arrow table.
        With `metadata` each feature comes with its status and the time of its newest event. `encoding` is the
        version of a dataset whose fitted encodings are applied.
        """
        keys = from_any(entities, "entities")
        body: dict[str, Any] = {"entities": _json_columns(keys, "entities"), "metadata": metadata}
        if isinstance(features, str):
            body["service"] = features
        else:
            body["features"] = list(features)
        if request is not None:
            body["request"] = _json_columns(from_any(request, "request"), "request")
        if at is not None:
            body["at"] = _rfc3339(at)
        if encoding is not None:
            body["encoding"] = encoding
        table, headers = self._transport.table("/v1/features/read", body)
        for position, (name, column) in enumerate(keys.items()):
            table = table.add_column(position, name, column)
        version = headers.get(VERSION)
        service = features.partition("@")[0] if isinstance(features, str) else None
        return Features(table, service, None if version is None else int(version))

    def push(self, view: str, rows: Columns, to: PushTarget = "online") -> int:
        """Sends rows to a view and returns how many are stored durably; the next read sees them.

        `rows` has the view's keys, its time and the columns that its features are computed from, as a dict of
        lists, a list of dicts, or a pandas, polars or Arrow table.
        """
        body = {"rows": _json_columns(from_any(rows, "rows"), "rows"), "to": to}
        answer = self._transport.json(
            "POST", f"/v1/features/views/{_path(view)}/push", body, idempotent=False
        )
        return int(answer["rows"])

    def materialize(
        self,
        views: str | Sequence[str] | None = None,
        *,
        incremental: bool = True,
        timeout: float | None = None,
    ) -> list[ViewMaterialized]:
        """Carries what is new of the views (all of them without `views`) from the lake to the online store.

        Without `incremental` everything is carried again. It waits until that is done, `timeout` seconds at
        most.
        """
        body: dict[str, Any] = {"incremental": incremental}
        if views is not None:
            body["views"] = [views] if isinstance(views, str) else list(views)
        answer = self._transport.json(
            "POST", "/v1/features/materialize", body, idempotent=False, timeout=timeout
        )
        done: list[ViewMaterialized] = answer["views"]
        return done

    def services(self) -> list[ServiceInfo]:
        """The feature services: what each gives, and which keys and request values it needs."""
        answer = self._transport.json("GET", "/v1/features/services")
        services: list[ServiceInfo] = answer["services"]
        return services

    def get_dataset(
        self, name: str, version: str | None = None, *, columns: Sequence[str] | None = None
    ) -> Dataset:
        """A built dataset, the newest version if none is named; `columns` keeps only these in memory."""
        params = {} if version is None else {"version": version}
        with tempfile.TemporaryFile() as file:
            with self._transport.download(f"/v1/datasets/{_path(name)}", params) as response:
                for part in response.iter_bytes():
                    file.write(part)
                read = response.headers.get(VERSION, version)
            file.seek(0)
            table = pq.read_table(file, columns=None if columns is None else list(columns))
        return Dataset(table, name, read)

    def query(self, sql: str, *, limit: int | None = None) -> Rows:
        """The rows of one SQL statement that only reads.

        Rows beyond `limit`, or beyond the server's own limit, are cut off: the result's `truncated` says so,
        and there is a warning where nobody asked for it.
        """
        body: dict[str, Any] = {"sql": sql}
        if limit is not None:
            body["limit"] = limit
        table, headers = self._transport.table("/v1/query", body)
        truncated = headers.get(TRUNCATED) == "true"
        if truncated and table.num_rows != limit:
            message = (
                f"the query has more rows than the server's limit; these are the first {table.num_rows:,}"
            )
            warnings.warn(message, stacklevel=2)
        return Rows(table, truncated)

    def health(self) -> Health:
        """Whether the server can answer reads now, and what it waits for if not."""
        health: Health = self._transport.json("GET", "/ready", accepted=(503,), idempotent=False)
        return health

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _json_columns(found: Mapping[str, pa.Array], what: str) -> dict[str, list[Any]]:
    return {name: to_json(column, f"{what}[{name!r}]") for name, column in found.items()}


def _rfc3339(instant: Instant) -> str:
    if isinstance(instant, str):
        return instant
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=datetime.timezone.utc)
    return instant.astimezone(datetime.timezone.utc).isoformat()


def _path(name: str) -> str:
    return quote(name, safe="")
