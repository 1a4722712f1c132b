"""One HTTP exchange with a server: retries within bounds, errors as `MillstreamError`."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import pyarrow as pa

from millstream.errors import MillstreamError

ARROW_STREAM = "application/vnd.apache.arrow.stream"

RETRY_PAUSE_FIRST = 0.1
"""Seconds before the first further attempt; doubled each time, with jitter."""
RETRY_PAUSE_MAX = 5.0
"""Seconds, also when the server asks for more."""
ERROR_TEXT_MAX = 200
"""Characters shown of an answer that is not Millstream's."""

_BUSY = 503
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)
"""Failures before anything was sent."""
_DEFAULT = object()
"""Stands for the client's own time limit, where `None` means to wait forever."""


class Transport:
    """Connections to one server. Threads may share it."""

    def __init__(self, url: str, token: str | None, timeout: float | None, retries: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"the address {url!r} must start with http:// or https://")
        if retries < 0:
            raise ValueError("retries must not be negative")
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._attempts = retries + 1
        headers = {"User-Agent": "millstream-python"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        # A proxy cannot reach this machine's own loopback address; its settings are meant for the network.
        self._http = httpx.Client(headers=headers, timeout=timeout, trust_env=not _is_loopback(url))

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotent: bool = True,
        accepted: Sequence[int] = (),
        timeout: Any = _DEFAULT,
    ) -> Any:
        """The answer as JSON.

        Only an idempotent request is ever sent twice; an answer with an `accepted` status is no failure.
        """
        request = self._request(method, path, body, timeout, accept="application/json")
        response = self._answer(request, idempotent=idempotent, accepted=accepted)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise _not_millstream(response, "JSON") from error

    def table(
        self, path: str, body: Mapping[str, Any], timeout: Any = _DEFAULT
    ) -> tuple[pa.Table, Mapping[str, str]]:
        """The answer to an idempotent POST as an Arrow table, and its headers."""
        request = self._request("POST", path, body, timeout, accept=ARROW_STREAM)
        response = self._answer(request, idempotent=True)
        try:
            with pa.ipc.open_stream(response.content) as stream:
                return stream.read_all(), response.headers
        except pa.ArrowInvalid as error:
            raise _not_millstream(response, "an Arrow stream") from error

    @contextlib.contextmanager
    def download(self, path: str, params: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer to a GET while its body is still to come: `iter_bytes()` reads it."""
        request = self._http.build_request("GET", self.url + path, params=params)
        response = self._send(request, idempotent=True, stream=True)
        try:
            if not response.is_success:
                response.read()
                raise _refused(response)
            yield response
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        finally:
            response.close()

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: Any, accept: str
    ) -> httpx.Request:
        content = None if body is None else json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = "application/json"
        seconds = self._timeout if timeout is _DEFAULT else timeout
        return self._http.build_request(
            method, self.url + path, content=content, headers=headers, timeout=seconds
        )

    def _answer(
        self, request: httpx.Request, *, idempotent: bool, accepted: Sequence[int] = ()
    ) -> httpx.Response:
        response = self._send(request, idempotent=idempotent, stream=False)
        if not response.is_success and response.status_code not in accepted:
            raise _refused(response)
        return response

    def _send(self, request: httpx.Request, *, idempotent: bool, stream: bool) -> httpx.Response:
        attempts = self._attempts if idempotent else 1
        attempt = 0
        while True:
            attempt += 1
            retry_after = None
            try:
                response = self._http.send(request, stream=stream)
            except httpx.HTTPError as error:
                if attempt == attempts or not isinstance(error, _NOT_CONNECTED):
                    raise self._failure(error) from error
            else:
                if attempt == attempts or response.status_code != _BUSY:
                    return response
                retry_after = response.headers.get("Retry-After")
                response.close()
            time.sleep(_pause(attempt, retry_after))

    def _failure(self, error: httpx.HTTPError) -> MillstreamError:
        """A failure of the network in words that say what to do."""
        if isinstance(error, _NOT_CONNECTED):
            return MillstreamError(
                f"cannot connect to {self.url}: {error}",
                hint="start the server with `millstream serve`, or give its address: millstream.Client(url)",
            )
        if isinstance(error, httpx.TimeoutException):
            return MillstreamError(
                f"{self.url} did not answer in time",
                hint="ask for less at once, or wait longer: millstream.Client(timeout=seconds)",
            )
        return MillstreamError(
            f"the connection to {self.url} broke: {error}",
            hint="whether the server did what was asked is not known; its log says more",
        )


def _refused(response: httpx.Response) -> MillstreamError:
    """The server's error, or what stands in its place when something between the two answered."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = response.json()["error"]
        return MillstreamError(
            message=str(error["message"]),
            code=error.get("code"),
            hint=error.get("hint"),
            status=response.status_code,
            field=error.get("field"),
        )
    return _not_millstream(response, "a Millstream error")


def _not_millstream(response: httpx.Response, expected: str) -> MillstreamError:
    shown = response.text[:ERROR_TEXT_MAX].strip()
    return MillstreamError(
        f"{response.request.url} answered {response.status_code} without {expected}: {shown!r}",
        hint="look whether a Millstream server listens at this address, or something in between",
        status=response.status_code,
    )


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next attempt: what the server asks for, or a doubling time with jitter."""
    if retry_after is not None and retry_after.isdigit():
        return min(float(retry_after), RETRY_PAUSE_MAX)
    pause: float = min(RETRY_PAUSE_FIRST * 2 ** (attempt - 1), RETRY_PAUSE_MAX)
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 (it spreads clients, it hides nothing)


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
