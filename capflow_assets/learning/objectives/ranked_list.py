"""A ranked list: which of many things come next for each subject, the likeliest first.

Judged by the recall of the first ten, the mean over the subjects of whom something came: the share of what came that
stands among them. NDCG, which counts what stands higher for more, is told beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from capflow_assets.contract import (
    USER,
    Answer,
    Candidate,
    Column,
    Horizon,
    Metric,
    Model,
    Needs,
    Outcome,
    Reads,
    Rule,
    Subject,
)
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.ranking import CAME, ITEM, ndcg_by_subject, recall_by_subject, recall_plot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

P = TypeVar("P", bound=Horizon)
TOP = 10


def ranked_list_model(
    *,
    question: str,
    needs: Needs,
    reads: tuple[Reads, ...],
    outcome: Callable[..., Any],
    params: type[P],
    candidates: tuple[Candidate[P], ...],
    subject: Subject = USER,
    listed: str = ITEM,
    observed: str = CAME,
    words: str = "what comes next",
    columns: tuple[Column, ...] = (),
    family: str = "recommendation",
    also_observed: tuple[str, ...] = (),
    metric: Metric | None = None,
    second_metric: Metric | None = None,
    rules: tuple[Rule, ...] = (),
    plot: Callable[[Any, Any], Any] | None = None,
) -> Model[P]:
    """A model whose answers are several rows a subject, told apart by ``listed``, with ``score`` and ``reasons``.

    ``outcome`` gives a row per subject and ``listed`` that occurred, with its column ``observed`` above 0; of a subject
    without one nothing can be said; ``also_observed`` are its further columns. ``words`` name what occurred, after
    "share of": "the next visit's items". ``columns`` are what the answers have besides. Without a ``metric`` it is
    judged by ``recall_metric``; ``second_metric`` (NDCG by default) stands beside it in the report and decides nothing.
    ``rules`` are asked after that.
    """
    reported = second_metric or ndcg_metric(listed, observed, words)
    return Model(
        question=question,
        family=family,
        needs=needs,
        reads=reads,
        subject=subject,
        outcome=Outcome(outcome, (observed, *also_observed), per=(listed,), absent="unknown"),
        answer=Answer(per=(listed,), columns=columns),
        params=params,
        candidates=candidates,
        metric=metric or recall_metric(listed, observed, words),
        rules=(Rule(reported.name, reported.compute, f"its {reported.name}", otherwise="tell"), *rules),
        objective="list",
        plot=plot or partial(recall_plot, item=listed, observed=observed, words=words),
    )


def recall_metric(listed: str = ITEM, observed: str = CAME, words: str = "what comes next") -> Metric:
    """The mean over subjects of the share of what occurred that stands among the first ten of the list."""
    by_subject = partial(recall_by_subject, top=TOP, item=listed, observed=observed)
    return mean_by_subject(f"recall_{TOP}", by_subject, True, f"Share of {words} among the first ten listed.")


def ndcg_metric(listed: str = ITEM, observed: str = CAME, words: str = "what comes next") -> Metric:
    """The mean over subjects of the normalised discounted cumulative gain of the first ten."""
    by_subject = partial(ndcg_by_subject, top=TOP, item=listed, observed=observed)
    return mean_by_subject(f"ndcg_{TOP}", by_subject, True, f"How high {words} stand among the first ten.")


def users_with_a_bill(bills: DataFrame, as_of: datetime, zone: str) -> DataFrame:
    """Every user with a bill up to the moment: ``user_id``."""
    from capflow_assets.expressions.visits import known_users

    return known_users(bills, as_of, zone).select("user_id")
