"""A server between the client and the real one: it notes what is asked, and can answer in the real one's place."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CARRIED = ("Content-Type", "Accept", "Authorization")
"""Headers of a request that the real server sees."""
OF_A_CONNECTION = ("connection", "content-length", "date", "transfer-encoding")
"""Headers of an answer that are this server's own."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def error(cls, status: int, code: str, message: str, **more: str) -> Answer:
        body = {"error": {"code": code, "message": message, **more}}
        return cls(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


class Recorder:
    """Passes requests on to the server at `real`. `answers` are given out first, whatever is asked."""

    def __init__(self, real: str) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self._real = real.rstrip("/")
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = recorder.answer(Request(self.command, self.path, headers, content))
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
        return self.answers.pop(0) if self.answers else self._passed_on(request)

    def _passed_on(self, request: Request) -> Answer:
        carried = {name: request.headers[name.lower()] for name in CARRIED if name.lower() in request.headers}
        content = request.content if request.method == "POST" else None
        asked = urllib.request.Request(
            self._real + request.path, data=content, headers=carried, method=request.method
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                return _taken(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return _taken(error.code, error.headers, error.read())


def _taken(status: int, headers: Any, body: bytes) -> Answer:
    kept = {name: value for name, value in headers.items() if name.lower() not in OF_A_CONNECTION}
    return Answer(status, body, kept)
