from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.errors import ModelError
from capflow_assets.learning.baskets import baskets_of
from capflow_assets.learning.item_frequency import Decay
from capflow_assets.learning.item_lists import alike_lists, list_rows
from capflow_assets.learning.ranking import recall_by_subject
from capflow_assets.learning.recipe_choice import USUAL, best_recipe, past_of, pasts_of
from capflow_assets_tests.learning.baskets import FIRST, Shop, lines_of, random_shop

MOMENT = datetime(2024, 3, 1, tzinfo=UTC)


def outcomes_of(baskets: dict[str, list[str]]) -> pd.DataFrame:
    rows = [(user, item, 1.0) for user, items in baskets.items() for item in items]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "bought"]).set_index("user_id")


def test_the_recall_of_a_past_is_that_of_the_metric() -> None:
    """Among the outcomes are an item that nobody had bought before, and users who had no basket yet."""
    random = Random(5)
    shop = random_shop(users=50, items=30, seed=4)
    next_items = {
        user: [f"i{number:02d}" for number in random.sample(range(35), 4)] for user in [*list(shop)[:40], "new"]
    }
    baskets = baskets_of(lines_of(shop))
    past = past_of(baskets, outcomes_of(next_items), seed=0)
    assert past is not None
    lists = alike_lists(baskets, past.users, USUAL, 10)
    index = pd.Index(baskets.users[past.users], name="user_id")
    known = recall_by_subject(outcomes_of(next_items), list_rows(baskets, lists, past.users, index, FIRST)).drop("new")
    assert past.recalls(lists.items).tolist() == pytest.approx(known["value"].tolist())


def turned(users: int) -> tuple[Shop, dict[str, list[str]]]:
    """Users who bought three times what they liked of old, then twice something else, and go on with that."""
    shop: Shop = {}
    next_items = {}
    for number in range(users):
        old, new = (frozenset(f"{kind}{(number * 7 + place) % 40:02d}" for place in range(6)) for kind in ("a", "b"))
        shop[f"u{number:03d}"] = [(day, old if day < 3 else new) for day in range(5)]
        next_items[f"u{number:03d}"] = sorted(new)
    return shop, next_items


def test_where_tastes_turn_newer_baskets_count_more() -> None:
    shop, next_items = turned(60)
    past = past_of(baskets_of(lines_of(shop)), outcomes_of(next_items), seed=0)
    assert past is not None
    recipe, recalls = best_recipe([past], top=6)
    assert recipe.decay != Decay(1, 1.0, 1.0)
    assert recalls[str(recipe)] == 1.0
    assert recalls[str(replace(USUAL, groups=1, within=1.0, between=1.0))] < 0.5


def herd(users: int) -> tuple[Shop, dict[str, list[str]]]:
    """Two tastes, of ten items each; users bought one basket of two and go on with two others of their taste."""
    random = Random(1)
    shop: Shop = {}
    next_items = {}
    for number in range(users):
        chosen = random.sample([f"{'ab'[number % 2]}{place}" for place in range(10)], 4)
        shop[f"u{number:03d}"] = [(0, frozenset(chosen[:2]))]
        next_items[f"u{number:03d}"] = chosen[2:]
    return shop, next_items


def test_where_users_are_alike_and_new_the_others_count() -> None:
    shop, next_items = herd(300)
    past = past_of(baskets_of(lines_of(shop)), outcomes_of(next_items), seed=0)
    assert past is not None
    recipe, recalls = best_recipe([past], top=10)
    assert recipe.own_share < 1
    # Their own two and the most popular eight have some four of the ten of the taste; users alike have nearly all.
    assert recalls[str(recipe)] == max(recalls.values()) > 0.95
    assert recalls[str(replace(recipe, own_share=1.0))] < 0.6


def test_what_is_better_by_less_than_chance_replaces_nothing() -> None:
    """Users who buy at random: whatever is best among the recipes is so by luck."""
    random = Random(7)
    shop = random_shop(users=200, items=30, seed=8)
    next_items = {user: [f"i{number:02d}" for number in random.sample(range(30), 2)] for user in shop}
    past = past_of(baskets_of(lines_of(shop)), outcomes_of(next_items), seed=0)
    assert past is not None
    recipe, recalls = best_recipe([past], top=10)
    assert recalls[str(recipe)] - recalls[str(USUAL)] >= 0
    assert recalls[str(recipe)] < max(recalls.values())


def test_without_a_past_the_recipe_is_the_usual_one() -> None:
    assert best_recipe([], top=10) == (USUAL, {})
    assert past_of(baskets_of(lines_of({})), outcomes_of({"ana": ["tea"]}), seed=0) is None


def test_of_many_users_some_are_drawn_by_the_seed() -> None:
    shop, next_items = herd(100)
    baskets = baskets_of(lines_of(shop))
    one, same, other = (past_of(baskets, outcomes_of(next_items), seed, most=20) for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    assert len(one.users) == 20
    assert one.users.tolist() == same.users.tolist() != other.users.tolist()


def test_each_moment_has_its_own_baskets_and_outcomes() -> None:
    """Where each user bought one item, the outcomes are aligned with the users, who say of which moment they are."""
    shop, _ = herd(4)
    lines = lines_of(shop)
    columns = pd.DataFrame({"moment": [0, 0, 1]}, index=pd.Index(["u000", "u001", "u000"], name="user_id"))
    rows = pd.DataFrame({"item_id": ["a0", "b0", "a1"], "bought": 1.0}, index=columns.index)
    for outcomes in (rows, rows.assign(moment=[0, 0, 1])):
        tables = {"clean/line_items": (lines[:4], lines)}
        pasts = pasts_of(Examples(columns, outcomes, tables, (MOMENT, MOMENT)), "clean/line_items", seed=0)
        assert [len(past.users) for past in pasts] == [1, 2]
        assert [len(past.baskets.users) for past in pasts] == [4, 2]


def test_older_moments_are_asked_only_where_the_newer_have_too_few_users() -> None:
    shop, next_items = herd(100)
    lines, users = lines_of(shop), sorted(next_items)
    columns = pd.DataFrame({"moment": [0] * 100 + [1] * 100}, index=pd.Index(users * 2, name="user_id"))
    outcomes = pd.concat([outcomes_of(next_items).assign(moment=moment) for moment in (0, 1)])
    examples = Examples(columns, outcomes, {"clean/line_items": (lines, lines)}, (MOMENT, MOMENT))
    counts = {most: [len(past.users) for past in pasts_of(examples, "clean/line_items", 0, most)] for most in (60, 150)}
    assert counts == {60: [60], 150: [100, 50]}


def test_examples_without_outcomes_are_refused() -> None:
    with pytest.raises(ModelError, match="without outcomes"):
        pasts_of(Examples(pd.DataFrame(), None, {"clean/line_items": ()}), "clean/line_items", seed=0)
