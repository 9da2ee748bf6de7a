from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.errors import ModelError
from capflow_assets.learning.baskets import LINE_COLUMNS, Baskets, baskets_of
from capflow_assets.models import next_basket
from capflow_assets_tests.learning.baskets import lines_of

# Ana: 1 January tea and jam, 3 January tea. Bea: 3 January oil.
SHOP = {"bea": [(2, frozenset({"oil"}))], "ana": [(0, frozenset({"tea", "jam"})), (2, frozenset({"tea"}))]}


def same(one: Baskets, other: Baskets) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Baskets.__slots__)


def test_figures_by_hand() -> None:
    baskets = baskets_of(lines_of(SHOP))
    assert list(baskets.users) == ["ana", "bea"]
    assert list(baskets.items) == ["jam", "oil", "tea"]
    assert [str(day) for day in baskets.days] == ["2024-01-01", "2024-01-03"]
    assert baskets.begins.tolist() == [0, 2, 3]
    assert baskets.item.tolist() == [0, 2, 1]
    assert baskets.visits.tolist() == [1, 2, 1]
    assert baskets.last.tolist() == [0, 1, 1]
    assert baskets.age.tolist() == [1, 1, 0, 0]
    assert baskets.baskets.tolist() == [2, 1]
    assert baskets.popularity.tolist() == [1 / 3, 1 / 3, 2 / 3]
    assert baskets.numbers(np.array(["bea", "eva", "ana"], dtype=object)).tolist() == [1, -1, 0]


def test_returns_anonymous_bills_and_what_is_no_item_are_in_no_basket() -> None:
    lines = lines_of(SHOP)
    others = lines.iloc[:3].assign(
        item_id=["gin", "gin", "postage"],
        user_id=["ana", None, "ana"],
        is_return=[True, False, False],
        flags=["", "anonymous", "zero_quantity,not_an_item"],
    )
    assert same(baskets_of(pd.concat([lines, others])), baskets_of(lines))


def test_an_item_counts_once_a_day_and_the_order_of_rows_is_irrelevant() -> None:
    lines = lines_of(SHOP)
    repeated = pd.concat([lines, lines.iloc[[0, 2]].assign(flags="repeated")]).sample(frac=1, random_state=1)
    assert same(baskets_of(repeated), baskets_of(lines))


@pytest.mark.parametrize("kind", ["category", "string"])
def test_ids_may_come_in_any_kind_of_text_and_days_as_timestamps(kind: str) -> None:
    lines = lines_of(SHOP)
    other = lines.astype({"user_id": kind, "item_id": kind}).assign(billed_on=pd.to_datetime(lines["billed_on"]))
    assert same(baskets_of(other), baskets_of(lines))


def test_no_rows_are_no_baskets() -> None:
    baskets = baskets_of(lines_of(SHOP)[:0])
    assert len(baskets.users) == len(baskets.items) == len(baskets.item) == 0
    assert baskets.popularity.tolist() == []
    assert baskets.numbers(np.array(["ana"], dtype=object)).tolist() == [-1]


def test_an_absent_column_is_named() -> None:
    with pytest.raises(ModelError, match="without flags"):
        baskets_of(lines_of(SHOP).drop(columns="flags"))


def test_the_model_reads_what_baskets_are_made_of() -> None:
    assert next_basket.LINE_COLUMNS == LINE_COLUMNS
