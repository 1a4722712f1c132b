"""The server of the demo's shop at `MILLSTREAM_TEST_URL`, by itself and with a recorder before it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from recorder import Recorder

import millstream


@pytest.fixture(scope="session")
def url() -> str:
    url = os.environ.get("MILLSTREAM_TEST_URL")
    if url is None:
        pytest.skip("MILLSTREAM_TEST_URL names no server")
    return url


@pytest.fixture
def shop(url: str) -> Iterator[millstream.Client]:
    with millstream.Client(url, token=os.environ.get("MILLSTREAM_TEST_TOKEN")) as client:
        yield client


@pytest.fixture
def server(url: str) -> Iterator[Recorder]:
    recorder = Recorder(url)
    yield recorder
    recorder.close()


@pytest.fixture
def client(server: Recorder) -> Iterator[millstream.Client]:
    with millstream.Client(server.url, token=os.environ.get("MILLSTREAM_TEST_TOKEN")) as client:
        yield client
