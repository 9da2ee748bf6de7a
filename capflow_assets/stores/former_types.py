"""What types of estimators were called when versions were saved, and how a version saved under such a name is read.

A saved estimator names the module and the class of everything in it (``stores.saved_estimators``). Whoever moves or
renames a class that is saved adds a line here and takes none away: a customer's champion may be years old.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any
from zipfile import ZIP_STORED, ZipFile

# The entry of a saved estimator that names its types.
DESCRIPTION = "schema.json"
# Estimators that stood in their models' files: the model, the module that has them, and their classes.
OF_MODEL_FILES = (
    ("behaviour_segments", "mixture_segments", ("BehaviourSegments",)),
    ("channel_affinity", "open_rate_estimators", ("ChannelAffinity", "MostOpened")),
    ("cold_start_recommendations", "two_tower_estimators", ("TwoTowerLists", "PopularByCategory")),
    ("demand_forecast", "weekly_forecasts", ("WeeklyForecast", "GlobalForecast", "NaiveForecast")),
    (
        "item_recommendations",
        "recommendation_estimators",
        ("Fused", "SimilarItems", "SharedFactors", "PopularLately", "PopularItems"),
    ),
    ("item_tags", "tag_estimators", ("TextAndPicture", "MostFrequent")),
    ("lifecycle_stage", "lifecycle_estimators", ("LifecycleStage", "RecencyAlone")),
    ("price_sensitivity", "elasticity_estimators", ("PriceSensitivity", "OneElasticity")),
    ("replenishment", "repurchase_estimators", ("ItemHazard", "MeanGap")),
    ("rfm_segments", "rfm_grid", ("RfmSegments",)),
    ("send_time", "week_hour_estimators", ("SendTime", "BusiestHours")),
    ("sequence_recommendations", "sequence_estimators", ("BasketSequences", "NeighbourItems")),
    ("similar_items", "likeness_estimators", ("Fused", "BoughtTogether", "Alike", "PopularOfCategory")),
    ("store_affinity", "store_share_estimators", ("StoreAffinity", "LastStore")),
)
# By each former whole name the present one.
FORMER_TYPES = MappingProxyType(
    {
        f"capflow_assets.models.{model}.{kind}": f"capflow_assets.learning.{module}.{kind}"
        for model, module, kinds in OF_MODEL_FILES
        for kind in kinds
    }
)


def current_name(name: str) -> str:
    """What a type is called now.

    >>> current_name("capflow_assets.models.rfm_segments.RfmSegments")
    'capflow_assets.learning.rfm_grid.RfmSegments'
    >>> current_name("builtins.dict")
    'builtins.dict'
    """
    return FORMER_TYPES.get(name, name)


def type_name(node: dict[str, Any]) -> str:
    """The whole name of the type that a part of a description names."""
    return f"{node.get('__module__')}.{node.get('__class__')}"


def parts_of(description: Any) -> Iterator[dict[str, Any]]:
    """Everything in a description that could become an object."""
    waiting = [description]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "__loader__" in part or "__class__" in part:
                yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def with_current_names(content: bytes) -> bytes:
    """A saved estimator in which every type is called what it is now; the same bytes where it already is.

    Names change and nothing else does: which types may be loaded is for ``stores.saved_estimators`` to say.
    """
    with ZipFile(io.BytesIO(content)) as packed:
        description = json.loads(packed.read(DESCRIPTION))
        former = [part for part in parts_of(description) if type_name(part) in FORMER_TYPES]
        if not former:
            return content
        for part in former:
            part["__module__"], part["__class__"] = current_name(type_name(part)).rsplit(".", 1)
        renamed = io.BytesIO()
        with ZipFile(renamed, "w", ZIP_STORED) as target:
            for entry in packed.infolist():
                is_description = entry.filename == DESCRIPTION
                target.writestr(entry, json.dumps(description) if is_description else packed.read(entry))
    return renamed.getvalue()
