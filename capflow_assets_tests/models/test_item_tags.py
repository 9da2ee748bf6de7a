"""Whether missing tags are inferred from pictures and texts, surely or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.clean.items import TABLE as ITEMS_TABLE
from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError
from capflow_assets.models.item_tags import (
    ITEMS,
    PICTURES,
    ItemTagsParams,
    MostFrequent,
    TextAndPicture,
    answered_accuracy,
    answered_share,
    by_item,
    known,
    outcome,
    overconfidence,
)
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.models import pictured_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = ItemTagsParams()
MOMENT = datetime(2024, 6, 30, tzinfo=UTC)
ATTRIBUTES = ("category", "colour")


def test_the_outcome_is_every_tag_that_is_known(spark: SparkSession) -> None:
    rows = [
        {"item_id": "a", "category": "tea", "brand": "Alder", "name": "Alder tea", "size": "1 kg", "flags": ""},
        {"item_id": "b", "category": None, "brand": "Birch", "flags": ""},
        {"item_id": "post", "category": "fee", "flags": "not_an_item"},
    ]
    items = frame_of(spark, ITEMS_TABLE, rows)
    tags = {tuple(row) for row in outcome(items, MOMENT, MOMENT).collect() if row["item_id"] != "post"}
    assert tags == {("a", "category", "tea", 1.0), ("a", "brand", "Alder", 1.0), ("b", "brand", "Birch", 1.0)}
    assert [row["item_id"] for row in known(items).collect()] == ["b", "a"]


def listed(**more: Any) -> pd.DataFrame:
    return pictured_shop.world().truth.items.assign(flags="", **more)


def examples(items: pd.DataFrame, pictures: pd.DataFrame | None = None) -> Examples:
    seen = pictured_shop.picture_vectors() if pictures is None else pictures
    index = pd.Index(sorted(items["item_id"]), name="item_id")
    return Examples(pd.DataFrame(index=index), None, {ITEMS: (items,), PICTURES: (seen,)}, (MOMENT,), "UTC")


def truth(items: pd.DataFrame) -> pd.DataFrame:
    rows = [items[["item_id", name]].set_axis(["item_id", "tag"], axis=1).assign(attribute=name) for name in ATTRIBUTES]
    return pd.concat(rows).dropna().assign(is_tag=1.0).set_index("item_id")


def bare() -> pd.DataFrame:
    """Every third item without tags, none with a text."""
    items = listed(name=None, description=None)
    is_bare = np.arange(len(items)) % 3 == 0
    items.loc[is_bare, ["category", "subcategory", "colour", "material", "closure", "department", "brand"]] = None
    return items


def test_missing_tags_are_inferred_from_pictures_alone() -> None:
    pictures = pictured_shop.picture_vectors().iloc[25:]
    subjects = examples(bare(), pictures)
    answers = TextAndPicture(PARAMS).fit(subjects).predict(subjects)
    missing = answers[answers["known_tag"].isna() & answers["attribute"].isin(ATTRIBUTES)]
    is_seen = missing.index.isin(pictures["item_id"])
    right = truth(listed()).set_index("attribute", append=True)["tag"]
    keys = pd.MultiIndex.from_arrays([missing.index, missing["attribute"]])
    is_right = missing["likely_tag"].to_numpy() == right.reindex(keys).to_numpy()
    assert is_right[is_seen].mean() > 0.85
    assert is_right[~is_seen].mean() < 0.6
    # What nobody sees is not answered.
    assert missing.loc[~is_seen, "tag"].isna().all()
    is_given = missing["tag"].notna().to_numpy()
    assert is_given[is_seen].mean() > 0.5
    assert is_right[is_given].mean() > 0.9
    assert set(missing["reasons"]) == {"by picture", "by how frequent it is"}


def test_known_tags_are_judged_unseen_and_beat_the_most_frequent() -> None:
    items = bare()
    judged = truth(items)
    answers, rule = (
        one(PARAMS).fit(examples(items)).predict(examples(items)) for one in (TextAndPicture, MostFrequent)
    )
    gain = by_item(judged, answers)["value"] - by_item(judged, rule)["value"]
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))
    assert answered_accuracy(judged, answers) > 0.9
    assert 0.5 < answered_share(judged, answers) <= 1
    assert overconfidence(judged, answers) < 0.05
    swapped = items.assign(colour=np.random.default_rng(0).permutation(items["colour"].to_numpy()))
    shuffled = TextAndPicture(PARAMS).predict(examples(swapped))
    colours = truth(swapped).query("attribute == 'colour'")
    assert by_item(colours, shuffled)["value"].mean() < 0.4
    assert overconfidence(colours, shuffled) < 0.2


def test_words_tell_what_pictures_do_not() -> None:
    items = listed()
    without = TextAndPicture(PARAMS).predict(examples(items, pictured_shop.picture_vectors()[:0]))
    assert by_item(truth(items), without)["value"].mean() > 0.95
    assert set(without["reasons"]) == {"by text"}


def test_one_picture_for_all_and_words_in_emoji_leave_nothing_to_learn_from() -> None:
    one = pictured_shop.picture_vectors()
    same = one.assign(embedding=[one["embedding"].iloc[0]] * len(one))
    with pytest.raises(EvidenceError, match="Nothing tells items apart"):
        TextAndPicture(PARAMS).fit(examples(listed(name="\U0001f97e", description=None), same))


def test_tags_of_one_kind_only_are_no_attributes() -> None:
    items = listed()[["item_id", "name", "description", "flags"]].assign(category="boots")
    with pytest.raises(EvidenceError, match="no attributes to learn from"):
        TextAndPicture(PARAMS).fit(examples(items))
    assert MostFrequent(PARAMS).predict(examples(items)).empty
