"""Visits and tastes by hand, and equal to a plain loop over users, visits and categories."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.category_habits import CategoryTastes, CategoryVisits, category_visits

TODAY = np.datetime64("2024-06-30")
ITEMS = pd.DataFrame(
    {"item_id": ["tea", "gin", "jam", "bag", "tea"], "category": ["drinks", "drinks", "spreads", None, "other"]}
)


def line(user: str | None, days_ago: int, item: str, **more: Any) -> dict[str, Any]:
    day = pd.Timestamp(TODAY) - pd.Timedelta(days=days_ago)
    return {"user_id": user, "item_id": item, "billed_on": day.date(), "is_return": False, "flags": "", **more}


LINES = pd.DataFrame(
    [
        line("bob", 40, "tea"),
        line("bob", 40, "gin"),  # the same category on the same day
        line("bob", 10, "jam"),
        line("ann", 5, "tea"),
        line("ann", 3, "tea", is_return=True),
        line("ann", 2, "tea", flags="zero_quantity,not_an_item"),
        line("ann", 1, "bag"),  # no category
        line("cat", 1, "unheard"),
        line(None, 1, "tea"),
        line("dan", 0, "tea"),
        line("dan", 0, "jam"),
    ]
)


def test_visits_are_the_days_on_which_something_of_a_category_was_bought() -> None:
    visits = category_visits(LINES, ITEMS, TODAY)
    assert visits.users.tolist() == ["ann", "bob", "dan"]
    assert visits.categories.tolist() == ["drinks", "spreads"]
    rows = np.stack([visits.user, visits.category, visits.age_days]).T.tolist()
    assert rows == [[0, 0, 5], [1, 0, 40], [1, 1, 10], [2, 0, 0], [2, 1, 0]]
    assert np.stack([visits.visit_user, visits.visit_age]).T.tolist() == [[0, 5], [1, 10], [1, 40], [2, 0]]
    assert visits.popularity.tolist() == [3 / 4, 2 / 4]
    assert visits.numbers(pd.Index(["dan", "cat"])).tolist() == [2, -1]


def test_the_order_of_rows_is_irrelevant() -> None:
    straight, turned = (category_visits(rows, ITEMS, TODAY) for rows in (LINES, LINES[::-1]))
    for name in ("users", "categories", "user", "category", "age_days", "visit_user", "visit_age"):
        assert getattr(straight, name).tolist() == getattr(turned, name).tolist(), name


def test_without_lines_there_are_no_visits() -> None:
    visits = category_visits(LINES[:0], ITEMS, TODAY)
    assert visits.shape == (0, 0)
    assert CategoryTastes.of(visits, 30.0, 1.0).chances(np.array([-1]), 1.0).shape == (1, 0)


def test_without_season_the_chance_is_the_mean_of_a_dirichlet_posterior() -> None:
    """Of bob, one visit of two with drinks, worth 1/2 and 1/16 after a half-life of 10 days; everybody is worth 3."""
    visits = category_visits(LINES, ITEMS, TODAY)
    chances = CategoryTastes.of(visits, 10.0, 0.0).chances(np.array([1, -1]), 3.0)
    faded = {"drinks": 1 / 16, "spreads": 1 / 2}
    total = sum(faded.values())
    expected = [(faded[name] + 3 * usual) / (total + 3) for name, usual in (("drinks", 3 / 4), ("spreads", 1 / 2))]
    assert chances[0] == pytest.approx(expected)
    assert chances[1].tolist() == [3 / 4, 1 / 2]


def random_visits(seed: int) -> CategoryVisits:
    random = np.random.default_rng(seed)
    days = np.datetime64("2023-05-01") + random.integers(0, 420, 3000)
    lines = pd.DataFrame({"user_id": random.integers(0, 40, 3000).astype(str), "billed_on": days})
    lines["item_id"] = (random.zipf(1.6, 3000) % 12).astype(str)
    items = pd.DataFrame({"item_id": [str(item) for item in range(12)], "category": list("aabbccddeeff")})
    return category_visits(lines.assign(is_return=False, flags=None), items, TODAY)


def by_loops(visits: CategoryVisits, half_life: float, season: float, everybody: float) -> dict[tuple[int, int], float]:
    """The formulas of the module, one user, visit and category after the other."""
    with_it: dict[tuple[int, int], int] = defaultdict(int)
    in_period: dict[int, int] = defaultdict(int)
    for category, age in zip(visits.category.tolist(), visits.age_days.tolist(), strict=True):
        with_it[age // 28, category] += 1
    for age in visits.visit_age.tolist():
        in_period[age // 28] += 1
    usual = [sum(count for (_, of), count in with_it.items() if of == c) for c in range(visits.shape[1])]
    usual = [count / len(visits.visit_age) for count in usual]

    def share(period: int, category: int) -> float:
        raw = (with_it[period, category] + 20 * usual[category]) / (in_period[period] + 20)
        return float(usual[category] * (raw / usual[category]) ** season)

    own: dict[tuple[int, int], float] = defaultdict(float)
    expected: dict[tuple[int, int], float] = defaultdict(float)
    for user, category, age in zip(
        visits.user.tolist(), visits.category.tolist(), visits.age_days.tolist(), strict=True
    ):
        own[user, category] += 0.5 ** (age / half_life)
    for user, age in zip(visits.visit_user.tolist(), visits.visit_age.tolist(), strict=True):
        for category in range(visits.shape[1]):
            expected[user, category] += 0.5 ** (age / half_life) * share(age // 28, category)
    return {
        (user, category): share(0, category)
        * (own[user, category] + everybody * usual[category])
        / (expected[user, category] + everybody * usual[category])
        for user in range(visits.shape[0])
        for category in range(visits.shape[1])
    }


@pytest.mark.parametrize(("half_life", "season", "everybody"), [(45.0, 1.0, 2.0), (200.0, 0.5, 0.3)])
def test_chances_equal_a_plain_loop(half_life: float, season: float, everybody: float) -> None:
    visits = random_visits(seed=5)
    chances = CategoryTastes.of(visits, half_life, season).chances(np.arange(len(visits.users)), everybody)
    expected = by_loops(visits, half_life, season, everybody)
    assert chances.ravel().tolist() == pytest.approx([expected[key] for key in np.ndindex(*visits.shape)])
