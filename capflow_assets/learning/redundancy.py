"""Columns that say nothing, and columns that say what another says already.

A redundant column makes a model slower and its explanations arbitrary: of two columns that move together trees take now
the one and now the other, and neither looks important. Two say the same where their ranks all but do (Spearman 1904),
so that a logarithm, a share and the number itself are one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capflow_assets.learning.frames import matrix

# Less than this and one of the two has something of its own to say.
LEAST_CORRELATION = 0.95


class StandIn(NamedTuple):
    """The column that stands for another, and their rank correlation."""

    column: str
    correlation: float


def constant_columns(columns: pd.DataFrame) -> list[str]:
    """The columns of one value in all rows, or of none; where some rows have none, that itself may tell.

    >>> constant_columns(pd.DataFrame({"a": [1.0, 1.0], "b": [None, None], "c": [1.0, None], "d": [1.0, 2.0]}))
    ['a', 'b']
    """
    return [name for name in columns.columns if columns[name].nunique(dropna=False) < 2]


def stand_ins(
    columns: pd.DataFrame, outcome: np.ndarray, least_correlation: float = LEAST_CORRELATION
) -> dict[str, StandIn]:
    """For each redundant column the one that stands for it: of their kind the one most related to the outcome.

    ``columns`` are numbers, aligned with ``outcome``. A column is kept unless one that was kept before it, and which is
    more related to the outcome, has an absolute rank correlation of ``least_correlation`` or more with it. An unknown
    value counts as a middling one. Of columns that are related alike the first is kept.

    >>> seen = pd.DataFrame({"visits": [1, 2, 3, 4], "log_visits": [0.0, 0.7, 1.1, 1.4], "noise": [2, 1, 4, 1]})
    >>> stand_ins(seen, np.array([0, 0, 1, 1]))
    {'log_visits': StandIn(column='visits', correlation=1.0)}
    """
    names = list(columns.columns)
    ranks = _standard_ranks(matrix(columns, names).to_numpy())
    related = np.abs(_standard_ranks(np.asarray(outcome, dtype=float)[:, None]).T @ ranks)[0]
    between = ranks.T @ ranks
    kept: list[int] = []
    redundant: dict[str, StandIn] = {}
    for place in np.argsort(-np.round(related, 9), kind="stable"):
        alike = np.abs(between[place, kept]) if kept else np.zeros(1)
        if alike.max() >= least_correlation:
            nearest = kept[int(alike.argmax())]
            redundant[names[place]] = StandIn(names[nearest], round(float(between[place, nearest]), 4))
        else:
            kept.append(int(place))
    return {name: redundant[name] for name in names if name in redundant}


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks by column, of mean 0 and length 1, so that their products are correlations; unknown ones are 0."""
    ranks = pd.DataFrame(values).rank().to_numpy()
    centred = np.nan_to_num(ranks - np.nanmean(np.where(np.isnan(ranks).all(axis=0), 0.0, ranks), axis=0))
    length = np.sqrt((centred**2).sum(axis=0))
    standard: np.ndarray = centred / np.where(length > 0, length, 1.0)
    return standard
