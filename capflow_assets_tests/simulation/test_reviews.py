"""Reviews are planted beside the world, which stays as it was without them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pandas as pd

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.review_phrases import LANGUAGES, PHRASES, TOPICS
from capflow_assets.simulation.world import World, simulate


@lru_cache
def world(**dials: Any) -> World:
    return simulate(tiny("shop", seed=2, **dials))


def test_reviews_are_off_unless_switched_and_change_no_other_table() -> None:
    with_reviews = world(reviews=200)
    assert set(with_reviews.tables) == {*world().tables, "reviews"}
    for name in world().tables:
        pd.testing.assert_frame_equal(world().tables[name], with_reviews.tables[name])


def test_each_review_is_of_a_bought_item_and_tells_its_topic_in_its_language() -> None:
    shop = world(reviews=200)
    rows = shop.reviews.merge(shop.truth.reviews, on="review_id")
    assert len(rows) == len(shop.reviews) > 150
    assert set(rows["language"]) == set(LANGUAGES)
    assert set(rows["topic"]) == set(TOPICS)
    bought = set(zip(shop.line_items["user_id"], shop.line_items["item_id"], strict=True))
    assert set(zip(rows["user_id"], rows["item_id"], strict=True)) <= bought
    assert (rows["written_at"] < shop.end).all()
    for row in rows.itertuples():
        kinds = PHRASES[(row.language, row.topic)]
        assert any(phrase in row.text.lower() for phrase in (p.lower() for p in kinds[0 if row.is_positive else 1]))


def test_stars_are_those_of_the_sentiment_but_for_a_few_between() -> None:
    shop = world(reviews=200, reviews_rated_pct=100)
    rows = shop.reviews.merge(shop.truth.reviews, on="review_id")
    decided = rows[rows["rating"] != 3]
    assert rows["rating"].between(1, 5).all()
    assert ((decided["rating"] > 3) == decided["is_positive"]).all()
    assert world(reviews=200, reviews_rated_pct=0).reviews["rating"].isna().all()
