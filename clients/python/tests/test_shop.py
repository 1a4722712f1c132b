"""What holds for a server of the demo's shop."""

from __future__ import annotations

import datetime

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import millstream

# Beyond 2^53, where a detour through floats would meet the neighbour.
NEW_CUSTOMER = 9_007_199_254_740_993
NOBODY = 9_007_199_254_740_991


def test_services_say_what_they_give_and_need(shop: millstream.Client) -> None:
    services = {service["name"]: service for service in shop.services()}
    churn, checkout = services["churn_v1"], services["checkout_v1"]
    assert churn["entities"] == [{"name": "customer", "keys": [{"name": "customer_id", "type": "int64"}]}]
    assert churn["version"] in churn["versions"]
    assert "orders.order_count_7d" in [feature["name"] for feature in churn["features"]]
    assert checkout["request"] == [{"name": "cart_value", "type": "float64"}]


def test_a_read_has_a_row_for_each_entity_in_order(shop: millstream.Client) -> None:
    features = shop.get_online_features("churn_v1", {"customer_id": [2, 1, 2]})
    assert features.service == "churn_v1"
    assert features.columns[0] == "customer_id"
    assert features.to_dict()["customer_id"] == [2, 1, 2]
    counts = features.to_dict()["orders.order_count_7d"]
    assert counts[0] == counts[2]


def test_integers_keep_their_type_whether_or_not_one_is_missing(shop: millstream.Client) -> None:
    for customers in ([1], [1, NOBODY]):
        frame = shop.get_online_features("churn_v1", {"customer_id": customers}).to_pandas()
        assert frame["orders.order_count_7d"].dtype == pd.Int64Dtype()
        assert frame["customer_id"].tolist() == customers


def test_one_line_gives_a_frame(shop: millstream.Client) -> None:
    by_list = shop.get_online_features(["orders.order_count_7d"], {"customer_id": [1, 2]})
    assert isinstance(by_list.to_pandas(), pd.DataFrame)
    polars = by_list.to_polars()
    assert polars.schema["orders.order_count_7d"] == pl.Int64
    assert polars.height == 2


def test_entities_come_in_any_shape(shop: millstream.Client) -> None:
    names = ["orders.order_count_7d", "profile.country"]
    expected = shop.get_online_features(names, {"customer_id": [1, 2]}).to_dict()
    frame = pd.DataFrame({"customer_id": [1, 2]})
    for entities in (
        [{"customer_id": 1}, {"customer_id": 2}],
        frame,
        {"customer_id": frame["customer_id"]},
        pl.DataFrame({"customer_id": [1, 2]}),
        {"customer_id": pl.Series([1, 2])},
        pa.table({"customer_id": [1, 2]}),
        {"customer_id": pa.chunked_array([[1], [2]])},
    ):
        assert shop.get_online_features(names, entities).to_dict() == expected


def test_values_of_the_request_reach_on_demand_features(shop: millstream.Client) -> None:
    features = shop.get_online_features("checkout_v1", {"customer_id": [1, 2]}, {"cart_value": [30.0, 45.5]})
    assert pa.types.is_floating(features.to_arrow().schema.field("basket_vs_average").type)
    assert pa.types.is_decimal(features.to_arrow().schema.field("orders.spend_30d").type)


def test_metadata_says_how_each_value_came_about(shop: millstream.Client) -> None:
    features = shop.get_online_features(["profile.country"], {"customer_id": [NOBODY]}, metadata=True)
    name = "profile.country"
    assert features.columns == ["customer_id", name, f"{name}__status", f"{name}__event_time"]
    assert features.to_dict()["profile.country__status"] == ["missing"]
    assert features.to_arrow().schema.field("profile.country__event_time").type == pa.timestamp("us", "UTC")


def test_what_is_pushed_is_read(shop: millstream.Client) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    for country in ("SE", None, "NO"):
        row = {
            "customer_id": NEW_CUSTOMER,
            "updated_at": now,
            "country": country,
            "segment": "vip",
            "birth_year": 1980,
            "newsletter": True,
        }
        assert shop.push("profile", [row]) == 1
        read = shop.get_online_features(["profile.country"], {"customer_id": [NEW_CUSTOMER]}).to_dict()
        assert read == {"customer_id": [NEW_CUSTOMER], "profile.country": [country]}
        now += datetime.timedelta(microseconds=1)


def test_an_unknown_service_is_an_error_with_code_and_hint(shop: millstream.Client) -> None:
    with pytest.raises(millstream.MillstreamError) as raised:
        shop.get_online_features("churn_v999", {"customer_id": [1]})
    assert (raised.value.code, raised.value.status) == ("MS-1203", 404)
    assert "churn_v999" in raised.value.message
    assert raised.value.hint is not None


def test_a_key_of_the_wrong_type_is_an_error_that_names_the_column(shop: millstream.Client) -> None:
    with pytest.raises(millstream.MillstreamError) as raised:
        shop.get_online_features("churn_v1", {"customer_id": ["one"]})
    assert (raised.value.code, raised.value.status) == ("MS-1207", 422)
    assert "customer_id" in str(raised.value)


def test_views_are_materialized(shop: millstream.Client) -> None:
    (done,) = shop.materialize("profile")
    assert done["view"] == "profile"


def test_a_dataset_falls_into_the_sides_of_its_split(shop: millstream.Client) -> None:
    dataset = shop.get_dataset("churn")
    assert dataset.version
    assert set(dataset.splits) == {"train", "validation", "test"}
    train = dataset.split("train")
    assert len(train) == dataset.splits["train"]
    assert "split" not in train.columns
    assert train.to_pandas()["churned"].dtype == pd.BooleanDtype()
    assert shop.get_dataset("churn", dataset.version).to_arrow().equals(dataset.to_arrow())


def test_a_query_gives_rows(shop: millstream.Client) -> None:
    rows = shop.query("SELECT customer_id FROM silver.customers ORDER BY customer_id", limit=3)
    assert (len(rows), rows.truncated) == (3, True)
    with pytest.raises(millstream.MillstreamError) as raised:
        shop.query("SELECT * FROM nowhere.nothing")
    assert raised.value.status == 400


def test_the_server_is_ready(shop: millstream.Client) -> None:
    assert shop.health()["ready"] is True
