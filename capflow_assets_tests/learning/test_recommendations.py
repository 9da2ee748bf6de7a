"""How items go together and how lists are fused, against the formulas written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.item_space import (
    FACTORS,
    REGULARIZATION,
    item_factors,
    item_space,
    learned_items,
    similarities,
    user_factors,
)
from capflow_assets.learning.part_choice import best_parts
from capflow_assets.learning.recommendations import rankings
from capflow_assets.learning.user_items import UserItems, user_items_of

PARTS = ("similar", "factors", "recent")


def random_table(users: int = 80, items: int = 30) -> pd.DataFrame:
    random = np.random.default_rng(1)
    user, item = np.nonzero(random.random((users, items)) < 0.2)
    return pd.DataFrame(
        {
            "user_id": [f"u{number:02d}" for number in user],
            "item_id": [f"i{number:02d}" for number in item],
            "purchases": random.integers(1, 5, len(user)),
            "decayed_purchases": random.random(len(user)),
            "last_bought_days": random.integers(0, 90, len(user)),
        }
    )


def known() -> UserItems:
    return user_items_of(random_table())


def test_similarity_is_the_cosine_of_weighted_buyers() -> None:
    learned = learned_items(known())
    bought = learned.purchases.toarray().astype(float)
    weighted = bought * np.log1p(bought.shape[1] / (bought > 0).sum(axis=1, keepdims=True))
    weighted /= np.linalg.norm(weighted, axis=0)
    expected = weighted.T @ weighted
    np.fill_diagonal(expected, 0)
    assert similarities(learned).toarray() == pytest.approx(expected, abs=1e-6)


def test_a_users_factors_solve_the_least_squares_of_hu_koren_volinsky() -> None:
    """Equation 4: (Y'Y + Y'(C - I)Y + lambda I)^-1 Y'C p, of the confidences C and the preferences p."""
    learned = learned_items(known())
    factors = item_factors(learned, seed=0).astype(float)
    confidence = learned.purchases[0].toarray()[0].astype(float)
    is_bought = confidence > 0
    held = factors[is_bought]
    left = factors.T @ factors + (held.T * (confidence[is_bought] - 1)) @ held + REGULARIZATION * np.eye(FACTORS)
    expected = np.linalg.solve(left, held.T @ confidence[is_bought])
    assert user_factors(learned.purchases[:1], factors.astype("float32"))[0] == pytest.approx(expected, rel=1e-2)


def test_the_order_of_rows_is_irrelevant_and_the_seed_decides() -> None:
    table = random_table()
    one, other = (item_space(rows, seed=3) for rows in (table, table.sample(frac=1, random_state=2)))
    assert one.factors.tolist() == other.factors.tolist()
    assert (one.similar != other.similar).nnz == 0
    assert item_space(table, seed=4).factors.tolist() != one.factors.tolist()


def test_ranks_are_fused_by_their_reciprocals() -> None:
    table = random_table()
    space, users = item_space(table, seed=0), np.array([0, 7, -1])
    (ranking,) = rankings(known(), space, users, PARTS)
    places, scores = ranking.fused(PARTS, 10)
    for row in range(3):
        expected = dict.fromkeys(range(len(ranking.shelf)), 0.0)
        for part in PARTS:
            for rank, place in enumerate(ranking.lists[part][row]):
                if place >= 0:
                    expected[int(place)] += 61 / (61 + rank) / 3
        best = sorted(expected, key=lambda place: (-np.float32(expected[place]), place))[:10]
        assert [expected[place] for place in places[row]] == pytest.approx([expected[place] for place in best])
        assert scores[row] == pytest.approx([expected[place] for place in best], rel=1e-5)


def test_nothing_that_a_user_bought_is_listed_as_new() -> None:
    table, items = random_table(), known()
    space = item_space(table, seed=0)
    for ranking in rankings(items, space, np.arange(len(items.users)), PARTS):
        places, _ = ranking.fused(PARTS, 20)
        for user, row in zip(ranking.users, places, strict=True):
            own = set(items.purchases[user].indices)
            assert not own & set(ranking.shelf[row[row >= 0]])


def test_a_list_does_not_depend_on_who_else_is_asked_about() -> None:
    items, space = known(), item_space(random_table(), seed=0)
    (together,) = rankings(items, space, np.arange(20), PARTS)
    (alone,) = rankings(items, space, np.array([5]), PARTS)
    assert alone.fused(PARTS, 10)[0][0].tolist() == together.fused(PARTS, 10)[0][5].tolist()


def test_without_outcomes_all_parts_are_fused() -> None:
    table = random_table()
    space = item_space(table, seed=0)
    nobody = pd.DataFrame({"item_id": []}, index=pd.Index([], name="user_id"))
    strangers = pd.DataFrame({"item_id": ["i01"]}, index=pd.Index(["new"], name="user_id"))
    for bought in (None, nobody, strangers):
        assert best_parts(table, space, bought, PARTS, 10, seed=0) == (list(PARTS), {})


def test_what_is_better_by_less_than_chance_replaces_nothing() -> None:
    table = random_table()
    random = np.random.default_rng(9)
    users = np.repeat([f"u{number:02d}" for number in range(80)], 2)
    items = [f"i{number:02d}" for number in random.integers(0, 30, len(users))]
    bought = pd.DataFrame({"item_id": items}, index=pd.Index(users, name="user_id"))
    parts, recalls = best_parts(table, item_space(table, seed=0), bought, PARTS, 10, seed=0)
    assert parts == list(PARTS)
    assert len(recalls) == 7
