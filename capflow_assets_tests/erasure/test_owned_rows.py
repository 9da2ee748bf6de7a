"""What a user wrote and sent goes from tables that name no user: predictions of reviews, vectors of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import write_deltalake

from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.stores.lake import Lake
from capflow_assets_doubles.landings import TABLES as CANONICAL

SHOP = """
name = "shop"
vertical = "grocery"
currency = "EUR"
time_zone = "Europe/Berlin"
[tables.reviews]
source = "csv"
location = "reviews.csv"
columns = { review_id = "review_id", user_id = "user_id", text = "text" }
"""
TABLES: dict[str, dict[str, list[Any]]] = {
    "raw/reviews": {"review_id": ["R1", "R2", "R3", "R4"], "user_id": ["U1", "U2", "U1", None], "text": list("abcd")},
    "raw/media": {
        "media_id": ["me.png", "you.png", "ours.png", "ours.png", "shop.png"],
        "user_id": ["U1", "U2", "U1", "U2", None],
        "sha256": ["d1", "d2", "d3", "d3", "d4"],
    },
    "features/item_pictures": {"media_id": ["me.png", "you.png", "ours.png", "shop.png"], "item_id": list("IJKL")},
    "vectors/pictures": {"digest": ["d1", "d2", "d3", "d4"], "encoder": ["colours/1"] * 4},
    "predictions/review_sentiment": {"review_id": ["R1", " R3", "R2", "R4"], "reasons": ["lovely"] * 4},
    "answers/review_sentiment": {"review_id": ["R1", "R2"], "score": [0.5, 0.5]},
    "predictions/call_intent": {"media_id": ["me.png", "you.png"], "intent": ["order", "return"]},
}


@pytest.fixture
def rows(tmp_path: Path) -> UserRows:
    for name, columns in TABLES.items():
        frame = pd.DataFrame(columns).astype({name: "string" for name in columns if name != "score"})
        write_deltalake(str(tmp_path / "lake" / "shop" / name), frame)
    lake = Lake(str(tmp_path / "lake"), lambda: None)  # type: ignore[arg-type, return-value]
    return UserRows(lake, STAGES, parse_customer(SHOP, "shop.toml", CANONICAL, SOURCES))


def test_what_a_user_wrote_and_sent_goes_and_all_of_the_others_stays(rows: UserRows) -> None:
    traces = rows.traces("U1")
    assert traces.of_subject("review_id") == {"R1", "R3"}
    assert traces.of_subject("media_id") == {"me.png"}
    assert traces.of_subject("item_id") == frozenset()
    counts = rows.delete(traces, of_nobody=True)
    assert counts == {
        "answers/review_sentiment": 1,
        "features/item_pictures": 1,
        "predictions/call_intent": 1,
        "predictions/review_sentiment": 2,
        "vectors/pictures": 1,
    }
    # What is broken off here is begun again: only the user's own rows say what is theirs.
    assert rows.traces("U1") == traces
    assert rows.delete(traces, of_nobody=False) == {"raw/reviews": 2, "raw/media": 2}
    left = {name: set(rows.lake.arrow("shop", name).to_pandas().iloc[:, 0]) for name in TABLES}
    assert left["predictions/review_sentiment"] == {"R2", "R4"}
    assert left["vectors/pictures"] == {"d2", "d3", "d4"}
    assert left["features/item_pictures"] == {"you.png", "ours.png", "shop.png"}
