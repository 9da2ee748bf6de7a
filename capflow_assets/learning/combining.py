"""Answers of several estimators as one: the weighted mean of their figures, or their lists fused by rank.

Frames in, frames out; the same subjects and columns as each estimator answers with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from capflow_assets.errors import ModelError

Kind = Literal["average", "stack", "rank fusion"]

# How fast a place in a list loses its say; the choice of Cormack, Clarke & Büttcher (2009).
PLACES_BEFORE_THE_FIRST = 60


def combined(
    kind: Kind, answers: Sequence[pd.DataFrame], weights: Sequence[float], per: tuple[str, ...] = ()
) -> pd.DataFrame:
    """One answer from several, in the order of the first one's rows; texts are the first one's.

    Raises:
        ModelError: the answers are of other subjects.
    """
    return fused(answers, weights, per) if kind == "rank fusion" else averaged(answers, weights)


def averaged(answers: Sequence[pd.DataFrame], weights: Sequence[float]) -> pd.DataFrame:
    """The weighted mean of every column of numbers that all have; a subject without one of them keeps the others'.

    >>> parts = [pd.DataFrame({"score": scores}, index=["a", "b"]) for scores in ([0.2, 0.6], [0.4, None])]
    >>> averaged(parts, (3, 1)).round(3).to_dict()
    {'score': {'a': 0.25, 'b': 0.6}}
    """
    first, *others = answers
    for other in others:
        if not other.index.equals(first.index):
            raise ModelError(
                "Answers cannot be averaged",
                expected=f"the same {len(first)} subjects in one order",
                came=f"{len(other)} subjects, or another order",
            )
    numbers = [name for name in first.select_dtypes("number").columns if all(name in other.columns for other in others)]
    share = np.asarray(weights, dtype=float)
    means = {}
    for name in numbers:
        values = np.stack([frame[name].to_numpy(dtype=float, na_value=np.nan) for frame in answers])
        mass = np.where(np.isfinite(values), share[:, None], 0.0)
        total = mass.sum(axis=0)
        means[name] = np.where(
            total > 0, (np.nan_to_num(values) * mass).sum(axis=0) / np.where(total > 0, total, 1.0), np.nan
        )
    return first.assign(**means)


def fused(answers: Sequence[pd.DataFrame], weights: Sequence[float], per: tuple[str, ...]) -> pd.DataFrame:
    """Reciprocal rank fusion of lists: the ``score`` is the sum of ``weight / (60 + place)`` over the lists it is on.

    As long as the longest list of a subject; of equal scores what ``per`` says first comes first. Other columns are
    those of the first list that has the item.

    >>> lists = [pd.DataFrame({"item_id": list(items), "score": [3, 2, 1]}, ["u"] * 3) for items in ("abc", "dca")]
    >>> fused(lists, (1, 1), ("item_id",))["item_id"].tolist()
    ['a', 'c', 'd']
    """
    first = answers[0]
    names = [f"key {level}" for level in range(first.index.nlevels)]
    rows = []
    for frame, weight in zip(answers, weights, strict=True):
        listed = frame.set_axis(_renamed(frame.index, names)).reset_index()
        order = listed.sort_values([*names, "score"], ascending=[True] * len(names) + [False], kind="stable")
        place = order.groupby(names, sort=False).cumcount().to_numpy() + 1
        rows.append(order.assign(score=weight / (PLACES_BEFORE_THE_FIRST + place), place=place))
    every = pd.concat(rows, ignore_index=True)
    total = every.groupby([*names, *per], sort=False)["score"].transform("sum")
    longest = every.groupby(names, sort=False)["place"].transform("max")
    fusion = every.assign(score=total, longest=longest).drop_duplicates([*names, *per])
    directions = [True] * len(names) + [False] + [True] * len(per)
    fusion = fusion.sort_values([*names, "score", *per], ascending=directions, kind="stable")
    is_kept = fusion.groupby(names, sort=False).cumcount() < fusion["longest"]
    kept = fusion[is_kept.to_numpy()].set_index(names).drop(columns=["place", "longest"])
    return kept.set_axis(kept.index.set_names(list(first.index.names)))[list(first.columns)]


def _renamed(index: pd.Index, names: list[str]) -> pd.Index:
    return index.set_names(names if index.nlevels > 1 else names[0])


def stacking_weights(outcome: np.ndarray, scores: np.ndarray, mass: np.ndarray | None = None) -> tuple[float, ...]:
    """Weights of the columns of ``scores``, none below 0, their sum 1, whose mean is nearest to the outcome.

    Least squares (Breiman 1996, "Stacked regressions"); the sum keeps chances chances and amounts amounts. Equal ones
    where nothing can be learned. ``scores`` must be of rows that none of the estimators was fitted on; ``mass`` says
    how many each row stands for.

    >>> stacking_weights(np.array([1.0, 0.0, 1.0]), np.array([[0.9, 0.5], [0.1, 0.5], [0.9, 0.5]]))
    (1.0, 0.0)
    """
    from scipy.optimize import nnls

    is_known = np.isfinite(scores).all(axis=1) & np.isfinite(outcome)
    root = np.ones(int(is_known.sum())) if mass is None else np.sqrt(mass[is_known] / mass.max())
    answers, observed = scores[is_known] * root[:, None], outcome[is_known] * root
    size = scores.shape[1]
    if not len(answers):
        return (1 / size,) * size
    # One heavy row holds the sum at 1.
    heavy = 1e3 * max(1.0, float(np.abs(answers).max())) * len(answers) ** 0.5
    weights, _ = nnls(np.vstack([answers, np.full(size, heavy)]), np.append(observed, heavy))
    total = float(weights.sum())
    return tuple(float(weight) for weight in np.round(weights / total, 6)) if total > 0 else (1 / size,) * size
