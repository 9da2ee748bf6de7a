"""A shop whose items are launched one after the other, and what a model reads of it as of a moment."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd

from capflow_assets.contract import Examples
from capflow_assets.encoders.texts import Params, encoded
from capflow_assets.features.text import TEXTS as TEXT_COLUMNS
from capflow_assets.models.cold_start_recommendations import CAME, ITEMS, LINES, PICTURES, TEXTS, TOP
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.launches import matches
from capflow_assets.simulation.world import World, simulate

HORIZON = timedelta(days=30)
NO_PICTURES = pd.DataFrame(columns=["item_id", "embedding", "encoder", "set_aside"], dtype=object)


@cache
def world() -> World:
    """Users who come every week or so, of whom each loves one value of each attribute; sixteen launches a day."""
    buying = {"r": 4.0, "alpha_weeks": 4.0, "a": 0.5, "b": 30.0, "items": 60, "campaigns": 0, "future_days": 30}
    launched = {"launches": 4000, "launch_bills_pct": 100, "launch_style": 3.0}
    return simulate(tiny("shop", seed=5, users=500, days=240, **buying, **launched))


@cache
def examples(horizons_back: int) -> Examples:
    """As of so many horizons before the end, with what came in the one after it."""
    shop = world()
    moment = shop.end - horizons_back * HORIZON
    sold = shop.line_items
    past = sold[sold["billed_at"] <= moment]
    days = past["billed_at"].dt.tz_convert(shop.brand.time_zone).dt.date
    lines = past[["user_id", "item_id"]].assign(billed_on=days, is_return=past["quantity"] < 0, flags="")
    later = sold[(sold["billed_at"] > moment) & (sold["billed_at"] <= moment + HORIZON) & (sold["quantity"] > 0)]
    later = later[~later["item_id"].isin(past["item_id"]) & later["user_id"].isin(past["user_id"].dropna())]
    outcomes = later[["user_id", "item_id"]].drop_duplicates().set_index("user_id").assign(**{CAME: 1.0})
    users = pd.DataFrame(index=pd.Index(np.sort(outcomes.index.unique()), name="user_id"))
    tables = {LINES: (lines,), ITEMS: (shop.items.assign(flags=""),), TEXTS: (texts_of(shop.items),)}
    return Examples(users, outcomes, {**tables, PICTURES: (NO_PICTURES,)}, (moment,), shop.brand.time_zone)


def texts_of(items: pd.DataFrame) -> pd.DataFrame:
    """The texts of items as vectors, as ``features/text`` has them."""
    columns = [name for name in TEXT_COLUMNS if name in items]
    texts = [" . ".join(value for value in row if isinstance(value, str)) for row in items[columns].to_numpy()]
    encoding = encoded(texts, Params.model_validate({}))
    return pd.DataFrame({"item_id": items["item_id"], "embedding": list(encoding.vectors), "encoder": encoding.encoder})


def best_lists(subjects: Examples) -> pd.DataFrame:
    """The lists of someone who knows each user's taste and style, and not when an item is launched.

    The chance of an item is that of its category times ``exp(style x loved values)`` over the mean of that there.
    """
    shop, users = world(), subjects.columns.index
    new = shop.items[~shop.items["item_id"].isin(subjects.table(LINES)["item_id"])]
    weight = np.exp(shop.brand.launch_style * matches(shop.truth.styles.set_index("user_id").loc[users], new))
    tastes = shop.truth.users.set_index("user_id").loc[users]
    for category in shop.brand.categories:
        here = (new["category"] == category.name).to_numpy()
        taste = tastes[f"taste_{category.name.replace(' ', '_')}"].to_numpy()
        weight[:, here] *= (taste / weight[:, here].mean(axis=1))[:, None]
    best = np.argsort(-weight, axis=1)[:, :TOP]
    scores = np.take_along_axis(weight, best, axis=1).ravel()
    return pd.DataFrame({"item_id": new["item_id"].to_numpy()[best].ravel(), "score": scores}, index=users.repeat(TOP))
