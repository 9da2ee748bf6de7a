"""Pairs of users and items, by hand."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from capflow_assets.learning.repurchase_rows import due_rows, purchases_of

TODAY = date(2024, 6, 30)
BOUGHT = [("ana", "tea", 24), ("ana", "tea", 16), ("ana", "tea", 16), ("ana", "tea", 14), ("ana", "jam", 3)]
BOUGHT += [("bea", "jam", 9), ("bea", "jam", 4)]


def lines_of(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    """User, item, days ago."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "ago"])
    return frame.assign(billed_on=[TODAY - timedelta(days=ago) for ago in frame["ago"]], is_return=False, flags="")


LISTED = pd.DataFrame({"item_id": ["jam", "tea"], "category": ["food", None]})


def test_gaps_are_between_days_of_buying() -> None:
    """Ana buys tea after 8 and 2 days, twice on one day; bea jam after 5; nobody knows when ana wants jam again."""
    known = purchases_of(lines_of(BOUGHT), LISTED, TODAY)
    assert [(known.users[u], known.items[i]) for u, i in zip(known.user, known.item, strict=True)] == [
        ("ana", "jam"),
        ("ana", "tea"),
        ("bea", "jam"),
    ]
    assert known.days.tolist() == [1, 3, 2]
    assert known.waits.gaps.tolist() == [0.0, 2.0, 1.0]
    assert known.waits.waited.tolist() == [3.0, 14.0, 4.0]
    np.testing.assert_allclose(known.waits.log_gap[1:], [np.log(8 * 2) / 2, np.log(5)])
    np.testing.assert_allclose(known.waits.log_variance, [0, np.log([8, 2]).var(ddof=1), 0], atol=1e-12)
    np.testing.assert_allclose(known.mean_gap, [5.0, 5.0, 5.0])
    places = known.places(np.array(["bea", "ana", "eva"]), np.array(["jam", "soap", "tea"]))
    assert places.tolist() == [2, -1, -1]


def test_lists_are_the_users_own_items_in_order() -> None:
    known = purchases_of(lines_of(BOUGHT), LISTED, TODAY)
    scores, due = np.array([0.1, 0.6, 0.3]), np.array([30.0, 0.0, 1.4])
    index = pd.Index(["bea", "nobody", "ana"], name="user_id")
    rows = due_rows(known, index, scores, scores, due, known.mean_gap, 20)
    assert rows.index.tolist() == ["bea", "ana", "ana"]
    assert rows["item_id"].tolist() == ["jam", "tea", "jam"]
    assert rows["due_in_days"].tolist() == [1, 0, 30]
    assert rows["due_on"].tolist() == [date(2024, 7, 1), TODAY, date(2024, 7, 30)]
    assert rows["reasons"].tolist() == [
        "bought 2 times, last 4 days ago, usually every 5 days",
        "bought 3 times, last 14 days ago, usually every 5 days: overdue",
        "bought once, 3 days ago, bought again by others after 5 days",
    ]
    assert due_rows(known, index, scores, scores, due, known.mean_gap, 1)["item_id"].tolist() == ["jam", "tea"]
    nothing = purchases_of(lines_of(BOUGHT)[:0], LISTED, TODAY)
    assert due_rows(nothing, index, *[np.empty(0)] * 4, 20).empty
