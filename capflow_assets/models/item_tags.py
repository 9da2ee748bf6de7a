"""What is missing of items' attributes: category, colour and whatever else items have, by their texts and pictures.

A tag is answered with its calibrated chance, and below a confidence not at all. It is learned from the items whose tag
is known (``learning.tag_chances``). These are answered too, each by items of other folds, so that the model is judged
on tags that it has not seen; where its answer differs surely from what is known, that may be wrong. The text is the
name and the description alone: the other attributes are missing where one is.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from capflow_assets.contract import (
    Answer,
    Candidate,
    Column,
    Horizon,
    Model,
    Needs,
    Outcome,
    Reads,
    Rule,
    Subject,
)
from capflow_assets.learning.item_attributes import ATTRIBUTE, CONFIDENT, NOT_TAGS, TAG
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.tag_estimators import ITEMS, PICTURES, MostFrequent, TextAndPicture
from capflow_assets.learning.tag_scores import answered_accuracy, answered_share, by_item, overconfidence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

# Of more items, those that lack a tag first.
MOST_ITEMS = 50_000


class ItemTagsParams(Horizon):
    """What a person may set for tags."""

    moments: int = Field(1, ge=1, le=24, description="How many past as-of moments make the examples.")
    confidence: float = Field(CONFIDENT, ge=0, le=1, description="A tag is given where its chance is so much or more.")
    encoder: Literal["hashed", "universal"] = Field(
        "hashed", description="How texts are encoded: hashed needs nothing, universal the extra encoders."
    )


def outcome(items: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """The tags that are known of items: ``item_id``, ``attribute``, ``tag``, ``is_tag`` (1). The list has no time."""
    from functools import reduce

    import pyspark.sql.functions as F

    frames = [
        items.where(F.col(name).isNotNull()).select(
            "item_id", F.lit(name).alias(ATTRIBUTE), F.col(name).alias(TAG), F.lit(1.0).alias("is_tag")
        )
        for name in _text_columns(items)
    ]
    nothing = items.where("false").select(
        "item_id", F.lit("").alias(ATTRIBUTE), F.lit("").alias(TAG), F.lit(1.0).alias("is_tag")
    )
    return reduce(lambda above, below: above.unionByName(below), frames, nothing)


def known(items: DataFrame) -> DataFrame:
    """The items of the list, of very many those first that lack an attribute: ``item_id``."""
    import pyspark.sql.functions as F

    goods = items.where(~F.contains("flags", F.lit("not_an_item")))
    given = [F.col(name).isNotNull().cast("int") for name in _text_columns(items)]
    return goods.orderBy(sum(given, F.lit(0)), "item_id").limit(MOST_ITEMS).select("item_id")


def _text_columns(items: DataFrame) -> list[str]:
    return [name for name, kind in items.dtypes if kind == "string" and name not in NOT_TAGS]


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """How many tags are given, and what share of them is right, as the confidence asked for grows."""
    from capflow_assets.learning.item_attributes import judged, tags_plot

    return tags_plot(judged(outcomes, answers))


MODEL = Model(
    question="Which category, colour and other attributes do items have where they are missing?",
    family="insight",
    needs=Needs(tables=("clean/bills", ITEMS), history_days=30, users=1, evidence={"items": 30}),
    subject=Subject("item", ("item_id",), known=known),
    reads=(Reads(ITEMS, (), "frame"), Reads(PICTURES, ("item_id", "embedding"), "frame", optional=True)),
    outcome=Outcome(outcome, ("is_tag",), per=(ATTRIBUTE, TAG), absent="unknown"),
    answer=Answer(
        per=(ATTRIBUTE,),
        columns=(
            Column(TAG, "string", "The tag, where its chance is high enough; else null."),
            Column("likely_tag", "string", "The likeliest tag.", required=True),
            Column("known_tag", "string", "What the list of items says; null where it is missing."),
        ),
    ),
    objective="list",
    params=ItemTagsParams,
    candidates=(
        Candidate("text and picture", TextAndPicture),
        Candidate("the most frequent tag", MostFrequent, is_baseline=True),
    ),
    metric=mean_by_subject(
        "tag_accuracy", by_item, True, "Share of the known tags that are the likeliest, each answered unseen."
    ),
    rules=(
        Rule(
            "overconfidence", overconfidence, "the excess of its chances, beyond luck, over what is right", at_most=0.05
        ),
        Rule("answered_accuracy", answered_accuracy, "its accuracy among the tags given", otherwise="tell"),
        Rule("answered_share", answered_share, "the share of tags given", otherwise="tell"),
    ),
    fitted="now",
    plot=plot,
)
