"""Features, datasets and queries of a Millstream server, in one line.

>>> import millstream
>>> millstream.Client().get_online_features("churn_v1", {"customer_id": [1, 2]}).to_pandas()  # doctest: +SKIP
"""

from millstream.answers import (
    Dataset,
    EntityInfo,
    FeatureInfo,
    Features,
    Health,
    Rows,
    ServiceInfo,
    ValueInfo,
    ViewMaterialized,
)
from millstream.client import Client
from millstream.errors import MillstreamError

__all__ = [
    "Client",
    "Dataset",
    "EntityInfo",
    "FeatureInfo",
    "Features",
    "Health",
    "MillstreamError",
    "Rows",
    "ServiceInfo",
    "ValueInfo",
    "ViewMaterialized",
]
