"""Uses the real Feast SDK with `online_store: {type: remote}` against a server that has the shop's features.

    feast_sdk.py URL [--reference]

Writes by `write_to_online_store` and `push`, materialises, reads by list, by service and key by key, and compares. What it
saw goes to standard output as one JSON object, differences to standard error; exits 1 with any. `--reference` says that the
server is Feast's own: what it lacks (windows computed from pushed events, old rows that never win) is left out.
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile
from decimal import Decimal

os.environ["FEAST_USAGE"] = "False"

import pandas as pd
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.errors import FeatureServiceNotFoundException
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, Float64, Int32, Int64, String

# Beyond 2^53, where a detour through floats would meet the neighbour.
FIRST, SECOND, THIRD = 9_007_199_254_740_993, 9_007_199_254_740_995, 9_007_199_254_740_997
NOBODY = 9_007_199_254_740_999

PROFILE = ["country", "segment", "birth_year", "newsletter"]
CONFIGURATION = """\
project: shop
registry: registry.db
provider: local
offline_store: {{type: file}}
online_store: {online_store}
entity_key_serialization_version: 3
"""


def definitions(folder):
    """The shop's features as Feast describes them; the server has its own definitions of the same names."""
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)

    def view(name, fields):
        # The SDK's remote store sends the time under this name, whatever the source calls it.
        time = "event_timestamp"
        rows = FileSource(name=f"{name}_rows", path=str(folder / f"{name}.parquet"), timestamp_field=time)
        return FeatureView(
            name=name,
            entities=[customer],
            ttl=datetime.timedelta(days=365),
            source=PushSource(name=f"{name}_push", batch_source=rows),
            schema=[Field(name="customer_id", dtype=Int64)]
            + [Field(name=field, dtype=kind) for field, kind in fields.items()],
        )

    orders = {
        "order_count_7d": Int64,
        "order_count_90d": Int64,
        "spend_30d": String,
        "avg_basket_90d": Float64,
        "biggest_basket": String,
        "categories_90d": Int64,
        "refund_share_90d": Float64,
        "last_category": String,
    }
    visits = {"events_7d": Int64, "carts_30d": Int64, "favourite_device": String}
    profile = dict(zip(PROFILE, [String, String, Int32, Bool]))
    orders, visits, profile = (
        view("orders", orders),
        view("visits", visits),
        view("profile", profile),
    )
    churn = FeatureService(name="churn_v1", features=[orders, visits, profile[["country", "segment"]]])
    unknown = FeatureService(name="unknown_v1", features=[profile])
    return [customer, orders, visits, profile, churn, unknown]


def repository(folder, online_store):
    """A Feast repository with everything applied."""
    (folder / "feature_store.yaml").write_text(CONFIGURATION.format(online_store=online_store))
    store = FeatureStore(repo_path=str(folder))
    store.apply(definitions(folder))
    return store


class Seen:
    """What was answered, by step, and where it differs from what it should be."""

    def __init__(self):
        self.answers, self.differences = {}, []

    def check(self, step, actual, expected):
        self.answers[step] = actual
        if actual != expected:
            self.differences.append(f"{step}: {actual!r} instead of {expected!r}")

    def note(self, step, answer):
        self.answers[step] = answer


def profiles(time, rows):
    frame = pd.DataFrame(rows, columns=["customer_id", *PROFILE])
    return frame.assign(event_timestamp=pd.Series([time] * len(frame), dtype="datetime64[us, UTC]"))


def read(store, customers, names=PROFILE, **arguments):
    features = [name if ":" in name else f"profile:{name}" for name in names]
    entities = [{"customer_id": customer} for customer in customers]
    return store.get_online_features(features=features, entity_rows=entities, **arguments)


def rows(response, names=PROFILE):
    """The answer's values, a list for each entity; Feast does not keep the order of columns."""
    answer = response.to_dict()
    return [list(row) for row in zip(*(answer[name] for name in names))]


def statuses(response):
    """Words for the statuses by column."""
    words = {1: "PRESENT", 2: "NULL_VALUE", 3: "NOT_FOUND", 4: "OUTSIDE_MAX_AGE"}
    names = response.proto.metadata.feature_names.val
    return {
        name: [words.get(status, "INVALID") for status in result.statuses]
        for name, result in sorted(zip(names, response.proto.results), key=lambda pair: pair[0])
    }


def writes(store, seen, now, reference):
    """What the SDK writes is what it reads."""
    ago = {minutes: now - datetime.timedelta(minutes=minutes) for minutes in (1, 5, 10, 60)}
    first, second = ["PT", "vip", 1980, True], ["SE", None, 1999, False]
    store.write_to_online_store("profile", profiles(ago[10], [[FIRST, *first], [SECOND, *second]]))
    response = read(store, [SECOND, FIRST, NOBODY, FIRST])
    seen.check("after write_to_online_store", rows(response), [second, first, [None] * 4, first])
    seen.check("keys come back", response.to_dict()["customer_id"], [SECOND, FIRST, NOBODY, FIRST])
    expected = {"customer_id": ["PRESENT"] * 4} | {
        name: ["PRESENT", "PRESENT", "NOT_FOUND", "PRESENT"] for name in PROFILE
    }
    if not reference:
        expected["segment"][0] = "NULL_VALUE"
    seen.check("statuses", statuses(response), expected)

    pushed = ["PT", "loyal", 1980, False]
    store.push("profile_push", profiles(ago[5], [[FIRST, *pushed]]), to=PushMode.ONLINE)
    seen.check("after push", rows(read(store, [FIRST])), [pushed])

    if not reference:
        store.write_to_online_store("profile", profiles(ago[60], [[FIRST, "XX", "new", 1901, True]]))
        seen.check("an older row does not win", rows(read(store, [FIRST])), [pushed])

    third = ["NO", "regular", 1970, True]
    store.write_to_online_store(feature_view_name="profile", inputs=profiles(ago[1], [[THIRD, *third]]))
    seen.check("after a write of inputs", rows(read(store, [THIRD])), [third])


def materializes(store, seen, now):
    """With a remote store the SDK hands the work to the server."""
    start = now - datetime.timedelta(days=30)
    store.materialize(start, now, feature_views=["profile"])
    store.materialize_incremental(now, feature_views=["profile"])
    seen.check("written rows stay", rows(read(store, [THIRD], ["country"]), ["country"]), [["NO"]])


def reads(store, seen):
    """By service, with full names, and key by key."""
    service = store.get_feature_service("churn_v1")
    response = store.get_online_features(features=service, entity_rows=[{"customer_id": FIRST}])
    columns = sorted(response.to_dict())
    known = {
        feature.name for projection in service.feature_view_projections for feature in projection.features
    }
    seen.check("a service has its features", sorted(known - set(columns)), [])
    seen.check("a service's values", rows(response, ["country", "segment"]), [["PT", "loyal"]])

    response = read(store, [FIRST], full_feature_names=True)
    names = [f"profile__{name}" for name in PROFILE]
    seen.check("full names", rows(response, names), [["PT", "loyal", 1980, False]])

    keys = [
        EntityKey(join_keys=["customer_id"], entity_values=[Value(int64_val=customer)])
        for customer in (THIRD, NOBODY)
    ]
    provider = store._get_provider()
    answers = provider.online_read(
        config=store.config,
        table=store.get_feature_view("profile"),
        entity_keys=keys,
        requested_features=["country", "birth_year"],
    )
    values = [
        {
            name: getattr(value, value.WhichOneof("val"))
            for name, value in features.items()
            if value.WhichOneof("val")
        }
        for _, features in answers
    ]
    seen.check("online_read", values, [{"country": "NO", "birth_year": 1970}, {}])
    seen.check("online_read knows the time", answers[0][0] is not None, True)


def windows(store, url, seen, now):
    """Events pushed over HTTP count in the next read."""
    ago = [(now - datetime.timedelta(hours=hours)).isoformat() for hours in (1, 2, 3)]
    orders = {
        "customer_id": [FIRST] * 3,
        "ordered_at": ago,
        "amount": ["19.99", 5, 100.5],
        "status": ["paid", "paid", "refunded"],
        "category": ["books", "toys", "toys"],
    }
    body = {"push_source_name": "orders", "df": orders, "to": "online"}
    answer = requests.post(f"{url}/push", json=body, timeout=30)
    seen.check("push over HTTP", (answer.status_code, answer.text if not answer.ok else ""), (200, ""))
    names = ["order_count_7d", "order_count_90d", "categories_90d", "last_category"]
    response = read(store, [FIRST, NOBODY], [f"orders:{name}" for name in names])
    seen.check("windows", rows(response, names), [[2, 2, 2, "books"], [0, 0, 0, None]])
    seen.note("statuses of windows", statuses(response))
    names = ["spend_30d", "biggest_basket", "avg_basket_90d", "refund_share_90d"]
    response = read(store, [FIRST], [f"orders:{name}" for name in names])
    numbers = [round(Decimal(str(value)), 6) for value in rows(response, names)[0]]
    expected = ["24.99", "100.5", "12.495", str(1 / 3)]
    seen.check("amounts", [float(number) for number in numbers], [round(float(text), 6) for text in expected])


def errors(store, url, seen):
    """What the server refuses reaches the caller of the SDK with Feast's class."""
    service = store.get_feature_service("unknown_v1")
    try:
        raised = store.get_online_features(features=service, entity_rows=[{"customer_id": FIRST}])
    except FeatureServiceNotFoundException as error:
        raised = error
    seen.check("an unknown service", type(raised).__name__, "FeatureServiceNotFoundException")
    seen.check("the message names it", "unknown_v1" in str(raised), True)
    body = {"features": ["profile:country"], "entities": {"customer_id": ["not a number"]}}
    answer = requests.post(f"{url}/get-online-features", json=body, timeout=30)
    seen.check("a key of the wrong type is the client's mistake", answer.status_code // 100, 4)
    seen.note("a key of the wrong type", answer.text)
    seen.check("health", requests.get(f"{url}/health", timeout=30).status_code, 200)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--reference", action="store_true")
    arguments = parser.parse_args()
    url = arguments.url.rstrip("/")
    now = datetime.datetime.now(datetime.timezone.utc)
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        store = repository(pathlib.Path(folder), f'{{type: remote, path: "{url}"}}')
        writes(store, seen, now, arguments.reference)
        materializes(store, seen, now)
        reads(store, seen)
        if not arguments.reference:
            windows(store, url, seen, now)
            errors(store, url, seen)
    json.dump(seen.answers, sys.stdout, default=str)
    print()
    for difference in seen.differences:
        print(difference, file=sys.stderr)
    sys.exit(bool(seen.differences))


if __name__ == "__main__":
    main()
