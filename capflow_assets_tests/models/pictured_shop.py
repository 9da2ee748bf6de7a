"""A simulated shop whose shoppers hold to colours, with pictures and texts of its items as vectors."""

from __future__ import annotations

from functools import cache

import pandas as pd

from capflow_assets.encoders import pictures, texts
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.pictures import picture, pictured
from capflow_assets.simulation.world import World, simulate

BRAND = tiny(
    "likes",
    seed=6,
    users=900,
    days=400,
    items=120,
    items_per_bill=3.0,
    style_strength=2.5,
    taste_concentration=0.3,
    campaigns=0,
    affinities=4,
    pictures_pct=90,
)


@cache
def world() -> World:
    return simulate(BRAND)


@cache
def picture_vectors() -> pd.DataFrame:
    """As features/item_pictures: ``item_id``, ``embedding``."""
    items = world().truth.items.set_index("item_id", drop=False).loc[pictured(BRAND, world().items)]
    seen = pictures.encoded([picture(BRAND, row) for row in items.to_dict("records")], pictures.Params())
    return pd.DataFrame({"item_id": items["item_id"].to_numpy(), "embedding": list(seen.vectors)})


@cache
def text_vectors() -> pd.DataFrame:
    """As features/text: ``item_id``, ``embedding``."""
    items = world().items
    said = items[["name", "description", "category"]].fillna("").agg(" . ".join, axis=1)
    read = texts.encoded(said.to_list(), texts.Params.model_validate({}))
    return pd.DataFrame({"item_id": items["item_id"].to_numpy(), "embedding": list(read.vectors)})
