"""A vector: what is like what. A thing is as near to another as the cosines between their vectors say.

Nobody says which things are alike, so lists of the nearest are judged by what is bought together afterwards, and those
of things that nobody had bought yet by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from capflow_assets.contract import Candidate, Column, Horizon, Model, Needs, Reads, Rule, Subject
from capflow_assets.learning.metrics import mean_by_subject
from capflow_assets.learning.objectives.ranked_list import TOP, ranked_list_model
from capflow_assets.learning.ranking import ndcg_by_subject, recall_by_subject

if TYPE_CHECKING:
    import pandas as pd

P = TypeVar("P", bound=Horizon)


def nearest_model(
    *,
    question: str,
    subject: Subject,
    needs: Needs,
    reads: tuple[Reads, ...],
    outcome: Callable[..., Any],
    other: str,
    together: str,
    parts: Mapping[str, str],
    times_bought: Column,
    params: type[P],
    candidates: tuple[Candidate[P], ...],
) -> Model[P]:
    """A model whose answers are a list a subject of the ``other`` things nearest to it, with a cosine for each part.

    ``outcome`` gives a row per subject and ``other``, with ``together`` above 0: what was bought with it afterwards.
    ``parts`` are the vectors, each with what a cosine of it means, after "how like each other they are".
    ``times_bought`` is a column of the answers; where it is 0 the subject had not been bought when it was answered for.
    """
    cosines = (
        Column(f"{part}_cosine", "double", f"How like each other they are {words}; null where it was not looked at.")
        for part, words in parts.items()
    )
    recall, ndcg = (
        partial(_of_answered, by_subject, other, together) for by_subject in (recall_by_subject, ndcg_by_subject)
    )
    model = ranked_list_model(
        question=question,
        needs=needs,
        subject=subject,
        reads=reads,
        outcome=outcome,
        listed=other,
        observed=together,
        words="the items bought with it",
        columns=(*cosines, times_bought),
        params=params,
        candidates=candidates,
        metric=mean_by_subject(
            f"recall_{TOP}", recall, True, "Share of what is bought with an item among the ten most like it."
        ),
        second_metric=mean_by_subject(
            f"ndcg_{TOP}", ndcg, True, "How high what is bought with it stands among the ten."
        ),
        rules=(
            Rule(
                "cold_recall",
                partial(_cold_recall, recall, times_bought.name),
                f"its recall@{TOP} of items nobody had bought",
                otherwise="tell",
            ),
        ),
    )
    return replace(model, objective="vector")


def _of_answered(
    by_subject: Callable[..., pd.DataFrame], other: str, together: str, outcomes: pd.DataFrame, answers: pd.DataFrame
) -> pd.DataFrame:
    """A figure of each subject that has a list."""
    return by_subject(outcomes[outcomes.index.isin(answers.index)], answers, TOP, other, together)


def _cold_recall(
    recall: Callable[..., pd.DataFrame], times_bought: str, outcomes: pd.DataFrame, answers: pd.DataFrame
) -> float:
    """The recall of subjects that nobody had bought before; 0 where there are none."""
    is_cold = (answers[times_bought] == 0).to_numpy(dtype=bool)
    if not outcomes.index.isin(answers.index[is_cold]).any():
        return 0.0
    return float(recall(outcomes, answers[is_cold])["value"].mean())
