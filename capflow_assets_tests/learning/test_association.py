"""Rules between items, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.learning.association import LEAST_BILLS, added_by_subject, pair_counts, rule_rows
from capflow_assets.learning.association_rows import answer_rows, popular_rows

# 100 bills: tea on 40, milk on 30 of which 24 are with tea, salt on the other 20 and on 10 with tea.
BILLS = [["tea", "milk"]] * 24 + [["milk"]] * 6 + [["tea", "salt"]] * 10 + [["tea"]] * 6 + [["salt"]] * 20
BILLS += [["rare", "tea"]] * 0 + [["rare"]] * (LEAST_BILLS - 1) + [["bag"]] * (100 - 66 - (LEAST_BILLS - 1))


def lines_of(bills: list[list[str]]) -> pd.DataFrame:
    rows = [(f"b{number:03d}", item) for number, items in enumerate(bills) for item in items]
    return pd.DataFrame(rows, columns=["bill_id", "item_id"]).assign(is_return=False, flags="")


def test_pairs_are_counted_by_bill() -> None:
    lines = lines_of(BILLS)
    odd = lines.head(3).assign(item_id=["sack", "milk", "milk"], is_return=[False, True, False])
    odd["flags"] = ["not_an_item", "", "repeated"]
    pairs = pair_counts(pd.concat([lines, odd]).sample(frac=1, random_state=0))
    assert pairs.bills == 100
    assert dict(zip(pairs.items, pairs.counts, strict=True)) == {"milk": 30, "salt": 30, "tea": 40}
    assert pairs.together.toarray().tolist() == [[0, 0, 24], [0, 0, 10], [24, 10, 0]]


def test_a_rule_has_the_support_confidence_and_lift_of_its_pair() -> None:
    pairs = pair_counts(lines_of(BILLS))
    (rule,) = rule_rows(pairs, np.array([2]), 5).to_dict("records")
    # tea and salt: 10 of 40 bills, where 30 of 100 have salt. That is less than by chance, and no rule.
    assert (rule["item"], rule["with_item"], rule["together_bills"]) == (2, 0, 24)
    assert rule["support"] == pytest.approx(0.24)
    assert rule["confidence"] == pytest.approx(24 / 40)
    assert rule["lift"] == pytest.approx(0.6 / 0.3)
    assert rule["score"] == pytest.approx((0.6 - 0.3) * 40 / 60)


def test_lists_are_as_long_as_asked_for_and_the_best_come_first() -> None:
    bills = [["a", f"x{number % 5}", "y"] for number in range(200)] + [[f"x{number % 5}"] for number in range(400)]
    pairs = pair_counts(lines_of(bills))
    rows = rule_rows(pairs, np.array([0]), 1)
    assert pairs.items[rows["with_item"]].tolist() == ["y"]


def test_rows_are_for_the_items_asked_about_in_any_order() -> None:
    index = pd.Index(["salt", "unknown", "tea"], name="item_id")
    rows = answer_rows(lines_of(BILLS), index, lambda pairs, items: rule_rows(pairs, items, 5))
    assert rows[["with_item_id", "reasons"]].to_records().tolist() == [
        ("tea", "milk", "on 24 of its 40 bills, 2.0 times as often as by chance")
    ]


def test_popular_items_are_listed_without_the_item_itself() -> None:
    pairs = pair_counts(lines_of(BILLS))
    rows = popular_rows(pairs, np.array([2, 0]), 1)
    assert [(pairs.items[item], pairs.items[other]) for item, other in rows[["item", "with_item"]].to_numpy(int)] == [
        ("tea", "milk"),
        ("milk", "tea"),
    ]
    assert rows["lift"].tolist() == pytest.approx([2.0, 2.0])


def test_what_a_list_adds_is_what_stands_on_the_items_bills_beyond_its_popularity() -> None:
    items = pd.Index(["tea", "tea", "salt"], name="item_id")
    outcomes = pd.DataFrame({"with_item_id": ["milk", "jam", "tea"], "together_bills": [6.0, 1.0, 2.0]}, items)
    outcomes["item_bills"] = [10.0, 10.0, 4.0]
    answers = pd.DataFrame({"with_item_id": ["milk", "oil", "gin"], "score": [3.0, 2.0, 1.0]}, ["tea", "tea", "rum"])
    answers = answers.assign(share_of_bills=[0.3, 0.1, 0.9]).rename_axis("item_id")
    values = added_by_subject(outcomes, answers)["value"]
    assert values.to_dict() == {"salt": 0.0, "tea": pytest.approx(0.6 - 0.3 + 0 - 0.1)}
    assert added_by_subject(outcomes, answers, 1)["value"]["tea"] == pytest.approx(0.3)


def test_a_shop_without_bills_has_no_rules() -> None:
    index = pd.Index(["tea"], name="item_id")
    for rows_of in (rule_rows, popular_rows):
        rows = answer_rows(lines_of([]), index, lambda pairs, items, of=rows_of: of(pairs, items, 5))  # type: ignore[misc]
        assert rows.empty
        assert rows.index.name == "item_id"
