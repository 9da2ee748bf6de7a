"""What is bought together, whether items of one style are like each other, and what a customer without texts gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.items import TABLE as ITEMS_TABLE
from capflow_assets.clean.line_items import TABLE as LINE_ITEMS
from capflow_assets.contract import Examples
from capflow_assets.learning.item_likeness import item_parts, purchases_of
from capflow_assets.models.similar_items import (
    BILLS,
    ITEMS,
    LINES,
    MODEL,
    OTHER,
    PICTURES,
    TEXT,
    Alike,
    BoughtTogether,
    Fused,
    PopularOfCategory,
    SimilarItemsParams,
    known,
    outcome,
)
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.models import pictured_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = SimilarItemsParams()
START, END = datetime(2020, 3, 1, 12, tzinfo=UTC), datetime(2020, 3, 31, 12, tzinfo=UTC)
HORIZON = timedelta(days=60)


def line(bill: str, at: datetime, item: str, number: int, **more: Any) -> dict[str, Any]:
    row = {"bill_id": bill, "line_no": number, "billed_at": at, "billed_on": at.date(), "item_id": item}
    return {**row, "is_return": False, "flags": "", **more}


def test_the_outcome_is_what_stands_on_one_bill_in_the_horizon(spark: SparkSession) -> None:
    within = datetime(2020, 3, 9, tzinfo=UTC)
    lines = [
        line("early", START, "tea", 1),  # the start itself belongs to the past
        line("early", START, "jam", 2),
        line("one", within, "tea", 1),
        line("one", within, "jam", 2),
        line("one", within, "postage", 3, flags="not_an_item"),
        line("two", END, "tea", 1),  # the end itself belongs to the horizon
        line("two", END, "jam", 2),
        line("two", END, "oil", 3, is_return=True),
        line("late", END.replace(microsecond=1), "oil", 1),
    ]
    rows = outcome(frame_of(spark, LINE_ITEMS, lines), START, END).collect()
    assert sorted(tuple(row) for row in rows) == [("jam", "tea", 2.0), ("tea", "jam", 2.0)]


def test_items_that_were_bought_or_are_listed_are_known(spark: SparkSession) -> None:
    lines = frame_of(spark, LINE_ITEMS, [line("b", START, "tea", 1), line("b", START, "fee", 2, flags="not_an_item")])
    listed = [{"item_id": "new", "flags": ""}, {"item_id": "post", "flags": "not_an_item"}]
    both = known(lines, SimilarItemsParams(), frame_of(spark, ITEMS_TABLE, listed)).collect()
    assert sorted(row["item_id"] for row in both) == ["new", "tea"]
    assert [row["item_id"] for row in known(lines, SimilarItemsParams()).collect()] == ["tea"]


def test_of_too_many_items_those_are_known_that_have_a_list(spark: SparkSession) -> None:
    """Nine on two bills, four on one, two listed: ten have a list, the last by its id, and no other is asked about."""
    pairs = [(bill, f"i{number:02d}") for bill in "ab" for number in range(9)] + [("c", f"j{n}") for n in (3, 1, 2, 0)]
    lines = [line(bill, START, item, place) for place, (bill, item) in enumerate(pairs)]
    listed = [{"item_id": name, "flags": ""} for name in ("a1", "a2")]
    few = SimilarItemsParams(most_items=10)
    rows = known(frame_of(spark, LINE_ITEMS, lines), few, frame_of(spark, ITEMS_TABLE, listed)).collect()
    assert {row["item_id"] for row in rows} == {*(f"i{number:02d}" for number in range(9)), "j0"}
    parts = item_parts(purchases_of(pd.DataFrame(lines).assign(user_id="u")), ["a1", "a2"], {}, 10)
    assert set(parts.items) == {row["item_id"] for row in rows}


@cache
def halves() -> tuple[pd.DataFrame, pd.DataFrame, frozenset[str]]:
    """The lines before and after a moment, and the items of which the past has none."""
    lines = pictured_shop.world().line_items
    moment = lines["billed_at"].max() - HORIZON
    cold = frozenset(pictured_shop.world().items["item_id"].iloc[::5])
    table = lines.assign(is_return=lines["quantity"] < 0, flags="")
    past = table[(table["billed_at"] <= moment) & ~table["item_id"].isin(cold)]
    return past.reset_index(drop=True), table[table["billed_at"] > moment].reset_index(drop=True), cold


def together(lines: pd.DataFrame) -> pd.DataFrame:
    stands = lines.loc[~lines["is_return"], ["bill_id", "item_id"]].drop_duplicates()
    pairs = stands.merge(stands.rename(columns={"item_id": OTHER}), on="bill_id")
    counts = pairs[pairs["item_id"] != pairs[OTHER]].groupby(["item_id", OTHER]).size()
    return counts.rename("together_bills").astype(float).reset_index().set_index("item_id")


def examples(past: pd.DataFrame, *parts: str, until: datetime = END) -> Examples:
    items = pictured_shop.world().items.assign(flags="")[["item_id", "category", "flags"]]
    tables = {LINES: past, ITEMS: items, TEXT: pictured_shop.text_vectors(), PICTURES: pictured_shop.picture_vectors()}
    tables = {name: frame if name in (LINES, *parts) else frame[:0] for name, frame in tables.items()}
    known_items = sorted({*past["item_id"], *(items["item_id"] if ITEMS in parts else [])})
    index = pd.Index(known_items, name="item_id")
    return Examples(pd.DataFrame(index=index), None, {name: (frame,) for name, frame in tables.items()}, (until,))


def learned(past: pd.DataFrame, *parts: str) -> Examples:
    """As of a horizon before, with the outcomes."""
    moment = past["billed_at"].max() - HORIZON
    earlier = examples(past[past["billed_at"] <= moment].reset_index(drop=True), *parts)
    return replace(earlier, outcomes=together(past[past["billed_at"] > moment]))


def oracle_recall(cold: frozenset[str], later: pd.DataFrame) -> float:
    """The recall of a list by the law itself: others of the category and, e^2.5 times as likely, of the colour."""
    goods = pictured_shop.world().truth.items.set_index("item_id")
    share = later.groupby("item_id").size().reindex(goods.index).fillna(0)
    rows = []
    for item in cold:
        row = goods.loc[item]
        likely = (
            share * np.exp(2.5 * (goods["colour"] == row["colour"])) * (1 + 4 * (goods["category"] == row["category"]))
        )
        best = likely.drop(item).nlargest(10)
        rows.append(pd.DataFrame({OTHER: best.index, "score": best.to_numpy()}, index=[item] * 10))
    lists = pd.concat(rows).rename_axis("item_id")
    return float(by_item(together(later), lists)["value"].mean())


def by_item(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    assert MODEL.metric.by_subject is not None
    return MODEL.metric.by_subject(outcomes, answers)


def cold_recall(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    (rule,) = (rule for rule in MODEL.rules if rule.name == "cold_recall")
    return rule.measure(outcomes, answers)


def test_items_that_nobody_bought_yet_are_like_those_of_their_style() -> None:
    past, later, cold = halves()
    parts, outcomes = (ITEMS, TEXT, PICTURES), together(later)
    model = Fused(PARAMS).fit(learned(past, *parts))
    answers = model.predict(examples(past, *parts))
    baseline = PopularOfCategory(PARAMS).fit(examples(past, *parts)).predict(examples(past, *parts))
    assert set(answers.index[answers[BILLS] == 0]) == cold
    recall, of_rule, oracle = (
        cold_recall(outcomes, answers),
        cold_recall(outcomes, baseline),
        oracle_recall(cold, later),
    )
    assert of_rule < recall
    assert recall > 0.9 * oracle
    gain = by_item(outcomes, answers)["value"] - by_item(outcomes, baseline)["value"]
    assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain))


def test_what_looks_alike_has_the_category_and_the_colour() -> None:
    past, _, _ = halves()
    subjects = examples(past, ITEMS, PICTURES)
    answers = Alike(PARAMS).fit(learned(past, ITEMS, PICTURES)).predict(subjects)
    first = answers.groupby(level=0).head(1)
    goods = pictured_shop.world().truth.items.set_index("item_id")
    seen = first[first.index.isin(pictured_shop.picture_vectors()["item_id"])]
    for tag, chance in (("category", 0.2), ("colour", 1 / 6)):
        is_same = goods.loc[seen.index, tag].to_numpy() == goods.loc[seen[OTHER], tag].to_numpy()
        assert is_same.mean() > 4 * chance - 0.1, tag
    assert seen["reasons"].str.startswith("looks alike (").all()


def test_planted_pairs_are_bought_together() -> None:
    past, _, cold = halves()
    answers = BoughtTogether(PARAMS).fit(learned(past)).predict(examples(past))
    pairs = pictured_shop.world().truth.affinities
    pairs = pairs[~pairs["item_id"].isin(cold) & ~pairs["with_item_id"].isin(cold)]
    listed = answers.set_index(OTHER, append=True).index
    assert len(pairs) >= 2
    assert pd.MultiIndex.from_frame(pairs[["item_id", "with_item_id"]]).isin(listed).all()


def test_a_customer_without_items_texts_and_pictures_has_it_from_bills() -> None:
    past, later, _ = halves()
    answers = Fused(PARAMS).fit(learned(past)).predict(examples(past))
    assert set(answers.index) == set(past.loc[~past["is_return"], "item_id"])
    assert (answers.groupby(level=0).size() == 10).all()
    assert np.allclose(answers[["text_cosine", "pictures_cosine"]].fillna(0), 0)
    baseline = PopularOfCategory(PARAMS).predict(examples(past))
    popular = past.loc[~past["is_return"]].drop_duplicates(["bill_id", "item_id"]).groupby("item_id").size()
    assert baseline.loc[popular.idxmin(), OTHER].iloc[0] == popular.idxmax()
    assert by_item(together(later), answers)["value"].mean() > by_item(together(later), baseline)["value"].mean()


@pytest.mark.parametrize("estimator", [Fused, BoughtTogether, Alike, PopularOfCategory])
def test_items_without_any_bill_have_no_list(estimator: Any) -> None:
    nothing = halves()[0][:0]
    subjects = replace(examples(nothing), columns=pd.DataFrame(index=pd.Index(["tea"], name="item_id")))
    assert estimator(PARAMS).fit(subjects).predict(subjects).empty


def test_of_more_items_than_may_have_lists_those_on_most_bills_do() -> None:
    past, _, _ = halves()
    few = SimilarItemsParams(most_items=30)
    answers = BoughtTogether(few).fit(learned(past)).predict(examples(past))
    counts = past[~past["is_return"]].drop_duplicates(["bill_id", "item_id"]).groupby("item_id").size()
    assert set(answers.index) | set(answers[OTHER]) <= set(counts.index[counts >= counts.nlargest(30).iloc[-1]])
    assert answers.index.nunique() == 30
