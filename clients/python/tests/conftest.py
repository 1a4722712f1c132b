"""Servers for the tests: one of this process, and the real one where its address is given."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fake_server import FakeServer

import millstream


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture
def client(server: FakeServer) -> Iterator[millstream.Client]:
    with millstream.Client(server.url) as client:
        yield client


@pytest.fixture(params=["fake", "real"])
def shop(request: pytest.FixtureRequest) -> Iterator[millstream.Client]:
    """A server of the shop: what holds for Millstream holds for the fake that other tests use."""
    if request.param == "fake":
        fake = FakeServer()
        with millstream.Client(fake.url) as client:
            yield client
        fake.close()
        return
    url = os.environ.get("MILLSTREAM_TEST_URL")
    if url is None:
        pytest.skip("MILLSTREAM_TEST_URL names no server")
    with millstream.Client(url, token=os.environ.get("MILLSTREAM_TEST_TOKEN")) as client:
        yield client
