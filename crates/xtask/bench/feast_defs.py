"""What Feast serves: the views and the service of our own `serve` bench."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

rows = FileSource(name="rows", path="data.parquet", timestamp_field="event_timestamp")
entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
views = [
    FeatureView(
        name=f"fv_{view}",
        entities=[entity],
        ttl=timedelta(days=0),
        source=rows,
        schema=[Field(name="entity", dtype=Int64)]
        + [Field(name=f"f_{10 * view + column}", dtype=Int64) for column in range(10)],
    )
    for view in range(5)
]
fv_0, fv_1, fv_2, fv_3, fv_4 = views
fs_0 = FeatureService(name="fs_0", features=views)
