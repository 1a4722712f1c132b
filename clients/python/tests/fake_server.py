"""A server of this process that keeps to Millstream's API, over a shop of a few customers."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ARROW_STREAM = "application/vnd.apache.arrow.stream"
INSTANT = pa.timestamp("us", "UTC")


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Answer:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    @classmethod
    def error(cls, status: int, code: str, message: str, **more: str) -> Answer:
        return cls.json({"error": {"code": code, "message": message, **more}}, status)

    @classmethod
    def arrow(cls, table: pa.Table, **headers: str) -> Answer:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(200, sink.getvalue(), {"Content-Type": ARROW_STREAM, **named})


SERVICES = {
    "churn_v1": ["orders.order_count_7d", "profile.country"],
    "checkout_v1": ["orders.spend_30d", "basket_vs_average"],
}


class FakeServer:
    """Records what it was asked. `answers` are given out first, whatever is asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self.profiles: dict[int, dict[str, Any]] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(content) if content else None
                answer = fake.answer(Request(self.command, self.path, headers, body))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                """Standard error belongs to the tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        path, _, parameters = request.path.partition("?")
        routes: dict[tuple[str, str], Callable[[], Answer]] = {
            ("GET", "/ready"): lambda: Answer.json({"ready": True, "waiting_for": []}),
            ("GET", "/v1/features/services"): lambda: Answer.json({"services": _services()}),
            ("POST", "/v1/features/read"): lambda: self._read(request.body),
            ("POST", "/v1/features/views/profile/push"): lambda: self._push(request.body),
            ("POST", "/v1/features/materialize"): lambda: _materialize(request.body),
            ("POST", "/v1/query"): lambda: _query(request.body),
            ("GET", "/v1/datasets/churn"): lambda: _dataset(parameters),
        }
        route = routes.get((request.method, path))
        if route is None:
            return Answer.error(404, "MS-1218", f"there is no endpoint `{path}`")
        return route()

    def _read(self, body: dict[str, Any]) -> Answer:
        service, _, version = body.get("service", "").partition("@")
        names = SERVICES.get(service) or body.get("features")
        if names is None:
            hint = "`GET /v1/features/services` lists the services and their versions"
            return Answer.error(404, "MS-1203", f"there is no service `{service}`", hint=hint)
        keys = body["entities"]["customer_id"]
        wrong = [key for key in keys if not isinstance(key, int)]
        if wrong:
            message = f"column `customer_id` takes int64, row 0 has the string {wrong[0]!r}"
            return Answer.error(422, "MS-1207", message, field="entities.customer_id")
        columns: dict[str, pa.Array] = {}
        for name in names:
            columns[name] = self._feature(name, keys, body.get("request", {}))
            if body["metadata"]:
                known = ["present" if value is not None else "missing" for value in columns[name].to_pylist()]
                columns[f"{name}__status"] = pa.array(known)
                columns[f"{name}__event_time"] = pa.nulls(len(keys), INSTANT)
        headers = {"x_millstream_version": version or "3"} if service else {}
        return Answer.arrow(pa.table(columns), **headers)

    def _feature(self, name: str, keys: list[int], request: dict[str, list[Any]]) -> pa.Array:
        view, _, feature = name.partition(".")
        if name == "basket_vs_average":
            return pa.array([value / 10 for value in request["cart_value"]], pa.float64())
        if view == "profile":
            return pa.array([self.profiles.get(key, {}).get(feature) for key in keys], pa.string())
        if feature == "spend_30d":
            return pa.array([f"{key}.50" if key < 10 else None for key in keys]).cast(pa.decimal128(38, 2))
        return pa.array([key if key < 10 else None for key in keys], pa.int64())

    def _push(self, body: dict[str, Any]) -> Answer:
        rows = body["rows"]
        for position, key in enumerate(rows["customer_id"]):
            self.profiles[key] = {name: values[position] for name, values in rows.items()}
        return Answer.json({"rows": len(rows["customer_id"])})


def _services() -> list[dict[str, Any]]:
    key = {"name": "customer_id", "type": "int64"}
    return [
        {
            "name": name,
            "version": 3,
            "versions": [1, 2, 3],
            "description": None,
            "owner": None,
            "features": [{"name": feature, "type": "int64", "description": None} for feature in features],
            "entities": [{"name": "customer", "keys": [key]}],
            "request": [{"name": "cart_value", "type": "float64"}] if name == "checkout_v1" else [],
        }
        for name, features in SERVICES.items()
    ]


def _materialize(body: dict[str, Any]) -> Answer:
    views = body.get("views", ["orders", "visits", "profile"])
    return Answer.json({"views": [{"view": view, "rows": 7, "table_version": 1} for view in views]})


def _query(body: dict[str, Any]) -> Answer:
    if "customers" not in body["sql"]:
        return Answer.error(400, "MS-1223", "the table is not known")
    rows = min(body.get("limit", 5), 5)
    table = pa.table({"customer_id": pa.array(range(rows), pa.int64())})
    return Answer.arrow(table, x_millstream_truncated="true" if rows < 6 else "false")


def _dataset(parameters: str) -> Answer:
    sides = ["train", "train", "validation", "test", None]
    table = pa.table(
        {
            "customer_id": pa.array(range(5), pa.int64()),
            "as_of": pa.array([0, 1, 2, 3, 4], INSTANT),
            "churned": pa.array([True, False, None, True, False]),
            "split": pa.array(sides, pa.string()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    version = parameters.partition("version=")[2] or "v2"
    return Answer(200, sink.getvalue(), {"x-millstream-version": version})
