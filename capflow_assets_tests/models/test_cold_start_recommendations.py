"""Whether what users love is learned from items that sell and holds of items that nobody has bought."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.items import TABLE as ITEM_TABLE
from capflow_assets.clean.line_items import TABLE as LINE_TABLE
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.readiness import verdict
from capflow_assets.models.cold_start_recommendations import (
    ITEMS,
    LINES,
    MODEL,
    PICTURES,
    RECALL,
    TEXTS,
    ColdStartParams,
    PopularByCategory,
    TwoTowerLists,
    outcome,
)
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.models import launch_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = ColdStartParams()


@cache
def fitted() -> TwoTowerLists:
    return TwoTowerLists(PARAMS).fit(launch_shop.examples(2))


@cache
def answers() -> pd.DataFrame:
    return fitted().predict(launch_shop.examples(1))


def recall(lists: pd.DataFrame) -> float:
    outcomes = launch_shop.examples(1).outcomes
    assert outcomes is not None
    return RECALL.compute(outcomes, lists)


def changed(subjects: Examples, **tables: pd.DataFrame) -> Examples:
    names = {"lines": LINES, "items": ITEMS, "texts": TEXTS, "pictures": PICTURES}
    return replace(subjects, tables={**subjects.tables, **{names[name]: (frame,) for name, frame in tables.items()}})


def test_new_items_are_ranked_three_times_as_well_as_by_the_popularity_of_their_categories() -> None:
    subjects = launch_shop.examples(1)
    baseline = recall(PopularByCategory(PARAMS).fit(launch_shop.examples(2)).predict(subjects))
    best, own = recall(launch_shop.best_lists(subjects)), recall(answers())
    assert own >= 3 * baseline, (own, baseline)
    # Nobody can do better on average than who knows the laws; what is learned of some months is near it.
    assert own >= 0.55 * best, (own, best)


def test_only_items_that_stand_on_no_bill_are_listed_each_once() -> None:
    sold = set(launch_shop.examples(1).table(LINES)["item_id"])
    assert sold.isdisjoint(answers()["item_id"])
    assert not answers().reset_index().duplicated(["user_id", "item_id"]).any()
    assert (answers().groupby(level=0).size() == PARAMS.items).all()


def test_reasons_name_what_the_user_loves() -> None:
    styles = launch_shop.world().truth.styles.set_index("user_id")
    said = answers()["reasons"].str.extract(r"colour (\w+)")[0].dropna()
    loved = styles["colour"].reindex(said.index)
    # Of six colours one is loved; by chance it would be named in a sixth.
    assert (said == loved).mean() > 0.8
    assert answers()["reasons"].str.endswith(": as the user buys").mean() > 0.9


def test_training_again_takes_the_best_epochs() -> None:
    again = fitted().refit(launch_shop.examples(1))
    assert len(again.course["losses"]) == fitted().course["best_epoch"]
    assert fitted().course["recalls"][fitted().course["best_epoch"] - 1] == max(fitted().course["recalls"])
    assert recall(again.predict(launch_shop.examples(1))) >= 0.9 * recall(answers())


def test_pictures_are_read_where_there_are_some() -> None:
    """The attributes are taken away, and stand in the picture alone."""
    colours = pd.get_dummies(launch_shop.world().items.set_index("item_id")["colour"]).astype(float)
    pictures = pd.DataFrame({"item_id": colours.index, "embedding": list(colours.to_numpy()), "encoder": "seen/1"})
    bare = launch_shop.world().items[["item_id", "category"]].assign(flags="")
    mute = launch_shop.examples(2).table(TEXTS)[:0]
    seen, blind = (
        TwoTowerLists(PARAMS)
        .fit(changed(launch_shop.examples(2), items=bare, texts=mute, pictures=shown))
        .predict(changed(launch_shop.examples(1), items=bare, texts=mute, pictures=shown))
        for shown in (pictures, pictures[:0])
    )
    assert recall(seen) > 1.3 * recall(blind)
    assert set(seen["reasons"].str.contains("colour")) == {False}


def test_a_list_of_items_that_are_all_alike_is_a_reason_and_no_failure() -> None:
    subjects = launch_shop.examples(2)
    alike = subjects.table(ITEMS)[["item_id"]].assign(description="item", category="goods", price=5.0, flags="")
    same = changed(subjects, items=alike, texts=launch_shop.texts_of(alike))
    with pytest.raises(EvidenceError, match="Nothing tells the items of the list apart") as refused:
        TwoTowerLists(PARAMS).fit(same)
    for words in ("category: all items have the same", "texts: all items have the same", "pictures: none"):
        assert words in str(refused.value)


def test_where_only_the_texts_are_alike_the_attributes_serve() -> None:
    subjects = launch_shop.examples(2)
    same = subjects.table(TEXTS).assign(embedding=[np.eye(8)[0]] * len(subjects.table(TEXTS)))
    parameters = TwoTowerLists(ColdStartParams(epochs=1)).fit(changed(subjects, texts=same)).parameters()
    assert parameters["left_out"]["texts"] == "all items have the same"
    assert {"brand", "category", "colour"} <= set(parameters["attributes"])


def test_vectors_of_another_encoder_are_refused() -> None:
    subjects = launch_shop.examples(1)
    other = subjects.table(TEXTS).assign(encoder="hashed/2/128/0")
    with pytest.raises(ModelError, match="another encoder"):
        fitted().predict(changed(subjects, texts=other))


def test_without_new_items_there_is_nothing_to_list() -> None:
    subjects = launch_shop.examples(1)
    sold = subjects.table(ITEMS)["item_id"].isin(subjects.table(LINES)["item_id"])
    old = changed(subjects, items=subjects.table(ITEMS)[sold])
    for estimator in (fitted(), PopularByCategory(PARAMS)):
        assert estimator.predict(old).empty


def test_a_user_who_bought_nothing_is_listed_what_everybody_wants() -> None:
    subjects = replace(launch_shop.examples(1), columns=pd.DataFrame(index=pd.Index(["new"], name="user_id")))
    assert set(fitted().predict(subjects)["reasons"]) <= {"by what it is like"}
    rows = PopularByCategory(PARAMS).predict(subjects)
    assert set(rows["reasons"]) == {"popular with all shoppers"}
    assert len(rows) == len(fitted().predict(subjects)) == PARAMS.items


def test_visits_of_which_none_follows_another_are_not_enough() -> None:
    lines = launch_shop.examples(2).table(LINES).drop_duplicates("user_id")
    with pytest.raises(EvidenceError, match="Nothing follows on anything"):
        TwoTowerLists(PARAMS).fit(changed(launch_shop.examples(2), lines=lines))


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(ModelError, match="not fitted"):
        TwoTowerLists(PARAMS).predict(launch_shop.examples(1))


def test_a_customer_who_lists_nothing_new_is_told_so() -> None:
    tables = dict.fromkeys(("clean/bills", LINES, ITEMS), 1000)
    has = {"tables": tables, "history_days": 400, "users": 1000, "positives": 0, "new_items_91d": 0, "unsold_items": 0}
    said = [reason.fix for reason in verdict(MODEL.needs, has).missing]
    assert "needs 10 listed items first sold in 91 days, has 0; list items before they are sold" in said
    assert "needs 1 listed item that nobody has bought yet, has 0; list items before they are sold" in said


def test_new_items_are_identified_by_all_bills(spark: SparkSession) -> None:
    """Old: a, bought before, if only by nobody. New: b and c; c is no goods, d is not listed, e came back."""

    def line(user: str | None, item: str, day: int, is_return: bool = False) -> dict[str, object]:
        at = datetime(2024, 5, day, 12, tzinfo=UTC)
        return {"user_id": user, "item_id": item, "billed_at": at, "is_return": is_return}

    lines = [line(None, "a", 1), line("ana", "a", 12), line("ana", "b", 12), line("ana", "b", 13)]
    lines += [line("bea", "b", 14), line("bea", "c", 14), line("bea", "d", 14), line("bea", "e", 15, is_return=True)]
    lines += [line(None, "b", 15), line("cem", "b", 21)]
    listed = [{"item_id": item, "flags": "not_an_item" if item == "c" else ""} for item in "abce"]
    rows = outcome(
        frame_of(spark, LINE_TABLE, lines),
        frame_of(spark, ITEM_TABLE, listed),
        datetime(2024, 5, 10, tzinfo=UTC),
        datetime(2024, 5, 20, tzinfo=UTC),
    )
    assert sorted(rows_of(rows, "user_id", "item_id", "bought_new")) == [("ana", "b", 1.0), ("bea", "b", 1.0)]
