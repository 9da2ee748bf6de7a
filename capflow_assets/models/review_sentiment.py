"""How likely each review is praise, and what it is about: by what customers said of earlier ones, or by listed words.

Labels of the customer's (``raw/reviews.sentiment``) or stars say which earlier reviews were praise. A linear model over
words, or over vectors, learns from them in whatever languages they are, and is judged on later reviews against a list
of kind and unkind words. Where too few have labels or stars, or all say the same, the list answers, and each answer
says so (``source``). Topics are clusters of what reviews mean, one over all languages, where the encoder of reviews
knows languages (``universal``, ``learning.review_meanings``), else of words, languages apart
(``learning.review_topics``).
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from capflow_assets.contract import Answer, Candidate, Column, Model, Needs, Outcome, Reads, Rule, Subject
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.objectives.chance import calibrated
from capflow_assets.learning.review_estimators import (
    REVIEW_COLUMNS,
    REVIEWS,
    ListedWords,
    ReviewSentimentParams,
    ReviewWords,
)
from capflow_assets.learning.review_labels import LABEL
from capflow_assets.learning.review_vectors import VECTOR_COLUMNS, VECTORS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

CALIBRATED = calibrated(LABEL)


def known(raw_reviews: DataFrame) -> DataFrame:
    """Every review written so far: ``review_id``."""
    return raw_reviews.select("review_id").filter("review_id is not null").distinct()


def outcome(raw_reviews: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """What customers said of the newest reviews that ``start`` knows: those of as many days as lie up to ``end``.

    One row per review with a label or stars that are not in the middle: ``review_id``, ``is_positive`` (0, 1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import days_before, local_span
    from capflow_assets.learning.review_labels import labelled

    since = days_before(start, local_span(start, end, zone).days, zone)
    newest = (F.col("written_at") > F.lit(since)) & (F.col("written_at") <= F.lit(start))
    # The scale of the stars is read off all that start knows.
    known_then = raw_reviews.filter(F.col("written_at").isNull() | (F.col("written_at") <= F.lit(start)))
    return labelled(known_then).filter(newest).select("review_id", LABEL)


def gain_over_commoner(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The share of reviews that are told rightly, less that of saying what most are, of all."""
    is_praise = outcomes[LABEL].to_numpy(dtype=float) > 0
    rightly = (answers["score"].to_numpy(dtype=float) >= 0.5) == is_praise
    return float(rightly.mean() - max(is_praise.mean(), 1 - is_praise.mean()))


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The chance of praise that was predicted against the share that praised, in ten groups of reviews."""
    from capflow_assets.learning.plots import calibration_plot

    error = CALIBRATED.measure(outcomes, answers)
    return calibration_plot(outcomes[LABEL], answers["score"], "it is praise", error)


MODEL = Model(
    question="How likely is each review praise, and what is it about?",
    family="texts",
    objective="chance",
    subject=Subject("review", ("review_id",), known=known),
    needs=Needs(tables=(REVIEWS,), evidence={"reviews_praising": 50, "reviews_complaining": 50}),
    answers_from=Needs(tables=(REVIEWS,)),
    reads=(Reads(REVIEWS, REVIEW_COLUMNS, "frame"), Reads(VECTORS, VECTOR_COLUMNS, "frame")),
    outcome=Outcome(outcome, (LABEL,), absent="unknown"),
    answer=Answer(
        columns=(
            Column("sentiment", "string", "positive, negative, or unsure where the score is near a half.", True),
            Column("topic", "string", "Words that name its topic, by language; none where it is of none."),
            Column("source", "string", "labels: learned from the customer's; lexicon: a list of words.", True),
        ),
        bands=("complaint", "between", "praise"),
    ),
    params=ReviewSentimentParams,
    candidates=(
        Candidate("words", ReviewWords),
        Candidate("vectors", partial(ReviewWords, reads="vectors")),
        Candidate("list of kind and unkind words", ListedWords, is_baseline=True),
    ),
    metric=roc_auc(LABEL),
    rules=(
        CALIBRATED,
        Rule(
            "beats_commoner",
            gain_over_commoner,
            "the share told rightly, less that of always saying the commoner",
            at_least=0.0,
        ),
    ),
    fitted="now",
    plot=plot,
)
