"""What the client asks, and what it makes of answers and failures."""

from __future__ import annotations

import concurrent.futures
import datetime
import pickle
import socket
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from recorder import Answer, Recorder

import millstream
from millstream import transport

BUSY = Answer.error(503, "MS-1215", "1024 requests are running", hint="try again in a moment")
ENTITIES = {"customer_id": [1]}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_PAUSE_FIRST", 0.001)


def unused_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_request_says_all_that_was_asked(server: Recorder, client: millstream.Client) -> None:
    at = datetime.datetime(2026, 3, 1, 12, 30)
    with pytest.raises(millstream.MillstreamError, match="checkout_v1@99"):
        client.get_online_features(
            "checkout_v1@99", ENTITIES, {"cart_value": [1.5]}, at=at, metadata=True, encoding="v7"
        )
    assert server.last.body == {
        "service": "checkout_v1@99",
        "entities": {"customer_id": [1]},
        "request": {"cart_value": [1.5]},
        "at": "2026-03-01T12:30:00+00:00",
        "metadata": True,
        "encoding": "v7",
    }
    client.materialize(["orders"], incremental=False)
    assert server.last.body == {"views": ["orders"], "incremental": False}


def test_the_version_of_the_service_is_known(client: millstream.Client) -> None:
    (newest,) = [service["version"] for service in client.services() if service["name"] == "churn_v1"]
    assert client.get_online_features(f"churn_v1@{newest}", ENTITIES).version == newest
    assert client.get_online_features("churn_v1", ENTITIES).version == newest
    features = client.get_online_features(["profile.country"], ENTITIES)
    assert (features.service, features.version) == (None, None)


def test_threads_share_a_client(server: Recorder, client: millstream.Client) -> None:
    def read(customer: int) -> list[int]:
        features = client.get_online_features(["orders.order_count_7d"], {"customer_id": [customer]})
        return features.to_dict()["orders.order_count_7d"]

    customers = [number % 10 for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read, customers))
    assert len(server.requests) == 100
    whole = client.get_online_features(["orders.order_count_7d"], {"customer_id": customers})
    assert [counts[0] for counts in found] == whole.to_dict()["orders.order_count_7d"]


def test_a_token_is_sent(server: Recorder) -> None:
    with millstream.Client(f"{server.url}/", token="secret of the shop") as client:
        client.services()
    assert server.last.headers["authorization"] == "Bearer secret of the shop"


def test_names_are_quoted_in_paths(server: Recorder, client: millstream.Client) -> None:
    with pytest.raises(millstream.MillstreamError):
        client.get_dataset("../services?x", version="a&b")
    assert server.last.path == "/v1/datasets/..%2Fservices%3Fx?version=a%26b"


@pytest.mark.parametrize(
    "read",
    [
        lambda client: client.get_online_features("churn_v1", ENTITIES),
        lambda client: client.services(),
        lambda client: client.get_dataset("churn"),
        lambda client: client.query("SELECT customer_id FROM silver.customers", limit=1),
    ],
)
def test_reads_are_repeated_while_the_server_is_busy(
    server: Recorder, client: millstream.Client, read: Callable[[millstream.Client], Any]
) -> None:
    server.answers = [BUSY, BUSY]
    read(client)
    assert len(server.requests) == 3
    server.answers = [BUSY, BUSY, BUSY]
    with pytest.raises(millstream.MillstreamError, match="MS-1215: 1024 requests are running"):
        read(client)
    assert len(server.requests) == 6


def test_what_changes_something_is_sent_once(server: Recorder, client: millstream.Client) -> None:
    for write in (lambda: client.push("profile", {"customer_id": [1]}), client.materialize):
        server.answers = [BUSY]
        with pytest.raises(millstream.MillstreamError, match="MS-1215"):
            write()
    assert len(server.requests) == 2


def test_other_errors_are_not_repeated(server: Recorder, client: millstream.Client) -> None:
    server.answers = [Answer.error(500, "MS-1226", "a defect")]
    with pytest.raises(millstream.MillstreamError, match="MS-1226"):
        client.services()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("attempt", "retry_after", "shortest", "longest"),
    [
        (1, None, 0.0005, 0.001),
        (3, None, 0.002, 0.004),
        (60, None, 2.5, 5.0),
        (1, "2", 2.0, 2.0),
        (1, "900", 5.0, 5.0),
    ],
)
def test_pauses_are_bounded(attempt: int, retry_after: str | None, shortest: float, longest: float) -> None:
    assert shortest <= transport._pause(attempt, retry_after) <= longest


def test_a_server_that_is_not_there_says_what_to_do() -> None:
    with (
        millstream.Client(unused_address()) as client,
        pytest.raises(millstream.MillstreamError) as raised,
    ):
        client.services()
    assert "cannot connect to http://127.0.0.1" in raised.value.message
    assert "millstream serve" in str(raised.value.hint)
    assert (raised.value.code, raised.value.status) == (None, None)


def test_a_server_that_does_not_answer_in_time_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            millstream.Client(url, timeout=0.05) as client,
            pytest.raises(millstream.MillstreamError, match="did not answer in time"),
        ):
            client.services()


def test_a_connection_that_breaks_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(65_536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with (
            millstream.Client(f"http://127.0.0.1:{listener.getsockname()[1]}") as client,
            pytest.raises(millstream.MillstreamError, match=r"the connection .* broke"),
        ):
            client.services()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(502, b"<html>Bad gateway</html>"),
        Answer(404, b'"not found"'),
        Answer(400, b'{"error": "text"}'),
        Answer(200, b"<html>Welcome</html>"),
        Answer(200, b""),
    ],
)
def test_something_else_at_the_address_is_noticed(
    server: Recorder, client: millstream.Client, answer: Answer
) -> None:
    server.answers = [answer]
    with pytest.raises(millstream.MillstreamError, match=f"answered {answer.status} without") as raised:
        client.query("SELECT 1")
    assert raised.value.status == answer.status
    assert "<html>" in raised.value.message or answer.body[:1] != b"<"


def test_an_error_is_one_text_and_survives_pickling() -> None:
    error = millstream.MillstreamError("no service `x`", "MS-1203", "list them", 404, "service")
    assert str(error) == "MS-1203: no service `x`\n  hint: list them"
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.field) == (str(error), 404, "service")
    assert str(millstream.MillstreamError("it broke")) == "it broke"


@pytest.mark.parametrize("url", ["127.0.0.1:6566", "localhost", "ftp://shop"])
def test_an_address_without_scheme_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="must start with http"):
        millstream.Client(url)


def test_rows_that_are_cut_off_are_not_silent(client: millstream.Client) -> None:
    with pytest.warns(UserWarning, match="the first 100,000"):
        rows = client.query("SELECT value FROM generate_series(1, 100001)")
    assert rows.truncated
    assert client.query("SELECT customer_id FROM silver.customers", limit=2).truncated


def test_a_dataset_can_be_read_in_part(client: millstream.Client) -> None:
    dataset = client.get_dataset("churn", "1", columns=["churned", "split"])
    assert (dataset.version, dataset.columns) == ("1", ["churned", "split"])
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.split("validation").columns == ["churned"]
    with pytest.raises(ValueError, match="no side 'holdout'; it has train, validation, test"):
        dataset.split("holdout")
    with pytest.raises(ValueError, match="has no split"):
        dataset.split("train").split("train")


def test_types_reach_pandas_whole() -> None:
    table = pa.table(
        {
            "int64": pa.array([2**53 + 1, None]),
            "int8": pa.array([1, None], pa.int8()),
            "uint64": pa.array([2**64 - 1, None], pa.uint64()),
            "bool": pa.array([True, None]),
            "float64": pa.array([1.5, None]),
            "string": pa.array(["é", None]),
            "decimal": pa.array(["12345678901234567890.12", None]).cast(pa.decimal128(38, 2)),
            "date": pa.array([datetime.date(2026, 3, 1), None]),
            "instant": pa.array([253_402_300_799_999_999, None], pa.timestamp("us", "UTC")),
            "empty": pa.array([None, None], pa.int64()),
            "list": pa.array([[1, 2], None]),
        }
    )
    frame = millstream.Rows(table, truncated=False).to_pandas()
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds == {
        "int64": "Int64",
        "int8": "Int8",
        "uint64": "UInt64",
        "bool": "boolean",
        "float64": "float64",
        "string": "string",
        "decimal": "decimal128(38, 2)[pyarrow]",
        "date": "date32[day][pyarrow]",
        "instant": "datetime64[us, UTC]",
        "empty": "Int64",
        "list": "object",
    }
    assert frame["int64"][0] == 2**53 + 1
    assert str(frame["decimal"][0]) == "12345678901234567890.12"
    mapped = millstream.Rows(table, truncated=False).to_pandas(types_mapper=pd.ArrowDtype)
    assert mapped["list"].dtype == pd.ArrowDtype(pa.list_(pa.int64()))


def test_answers_hand_out_arrow_data(client: millstream.Client) -> None:
    names = ["orders.order_count_7d", "profile.country"]
    features = client.get_online_features(names, {"customer_id": [1, 2]})
    assert pa.table(features).equals(features.to_arrow())
    assert repr(features) == "<Features: 2 rows of customer_id, orders.order_count_7d, profile.country>"
    assert len(features) == 2
