"""What users bought first, and popularity by category, by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.learning.baskets import baskets_of
from capflow_assets.learning.cold_start import FirstPurchases, NewItems
from capflow_assets.learning.cold_start_lists import ITEMS, LINES, Shelf, popular_rows


def lines_of(*rows: tuple[str | None, str, int]) -> pd.DataFrame:
    """User, item and day of May."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
    days = pd.to_datetime("2024-05-01") + pd.to_timedelta(frame.pop("day") - 1, unit="D")
    return frame.assign(billed_on=days.dt.date, is_return=False, flags="")


LINES_OF_MAY = lines_of(
    ("ana", "tea", 1), ("ana", "jam", 1), ("ana", "tea", 2), ("ana", "cup", 3), ("ana", "odd", 3), ("bea", "cup", 5)
)  # fmt: skip
LISTED = np.array(["cup", "jam", "pot", "tea"], dtype=object)


def test_first_purchases_know_what_was_bought_on_earlier_days() -> None:
    first = FirstPurchases.of(baskets_of(LINES_OF_MAY), LISTED)
    assert [LISTED[place] for place in first.item] == ["jam", "tea", "cup", "cup"]
    assert first.begins.tolist() == [0, 3, 4]
    # The cup of the third day comes after jam and tea; what is bought together, and first, after nothing.
    assert first.before.tolist() == [0, 0, 2, 3]
    assert first.learnable.tolist() == [2]
    (profiles, counts, bought, others) = next(first.batches(np.eye(4, dtype="float32"), np.random.default_rng(0), 8))
    assert profiles.tolist() == [[0, 0.5, 0, 0.5]]
    assert counts.tolist() == [2]
    assert bought.tolist() == [[1, 0, 0, 0]]
    # Nobody bought the pot, so it stands for nothing.
    assert others.sum(axis=0).tolist() == [1, 1, 0, 1]


def test_a_user_is_all_that_was_bought() -> None:
    first = FirstPurchases.of(baskets_of(LINES_OF_MAY), LISTED)
    profiles, counts = first.of_users(np.array([1, -1, 0]), np.eye(4, dtype="float32"))
    assert counts.tolist() == [1, 0, 3]
    assert profiles.round(6).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=1e-6)]


def test_recall_is_the_mean_over_users() -> None:
    """One bought two of which one is listed, the other one that is listed."""
    bought = NewItems(np.array([7, 8, 9]), np.array([0, 1]), np.array([0, 0, 1]), np.array([0, 1, 2]))
    assert bought.recall(np.array([[1, -1], [2, 0]])) == 0.75


def test_popularity_by_category_by_hand() -> None:
    """Ana bought two of food and one of ware; everybody two of each, so that food is (2 + 1/2) / 4 for her."""
    kinds = {"tea": "food", "jam": "food", "cup": "ware", "pot": "ware", "oil": "food", "rice": "food", "fee": "food"}
    brands = {"tea": "A", "jam": "A", "cup": "B", "pot": "B", "oil": "C", "rice": "A", "fee": "A"}
    frame = {"item_id": list(kinds), "category": list(kinds.values()), "brand": [brands[item] for item in kinds]}
    items = pd.DataFrame(frame).assign(flags=["not_an_item" if item == "fee" else "" for item in kinds])
    users = pd.DataFrame(index=pd.Index(["bea", "ana", "new"], name="user_id"))
    tables = {LINES: (LINES_OF_MAY,), ITEMS: (items.sample(frac=1, random_state=0),)}
    subjects = Examples(users, None, tables, (datetime(2024, 5, 9, tzinfo=UTC),), "UTC")
    assert set(items["item_id"].sort_values().to_numpy()[Shelf.newest(subjects).new]) == {"pot", "oil", "rice"}
    rows = popular_rows(subjects, 20)
    # Rice is of the brand that sells in food, oil is not; a fee is no item.
    assert rows.loc["ana", "item_id"].tolist() == ["rice", "oil", "pot"]
    assert rows.loc["ana", "score"].round(5).tolist() == [0.625, 0.625, 0.375]
    assert rows.loc["bea", "item_id"].tolist() == ["pot", "rice", "oil"]
    assert rows.loc["bea", "reasons"].tolist() == [
        "category ware, as the user buys",
        *["popular with all shoppers"] * 2,
    ]
    assert set(rows.loc["new", "score"].round(5)) == {0.5}
