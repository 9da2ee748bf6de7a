"""From a frame of features to the numbers that an estimator reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from capflow_assets.contract import Examples
from capflow_assets.errors import ModelError

T = TypeVar("T")


def matrix(features: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The ``columns`` of ``features`` as float64, in that order; a new frame, nulls and infinities as NaN.

    Raises ``ModelError`` naming the columns that are absent.
    """
    absent = [name for name in columns if name not in features.columns]
    if absent:
        raise ModelError(
            "A model cannot read its features",
            expected=f"columns {', '.join(columns)}",
            came=f"a frame without {', '.join(absent)}",
            do="build the feature tables that the model names",
        )
    values = features[list(columns)].to_numpy(dtype=float, na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    return pd.DataFrame(values, index=features.index, columns=list(columns))


def in_order(examples: Examples) -> Examples:
    """The examples by moment and key, with their aligned outcomes: for a fit that depends on the order of its rows."""
    columns, outcomes = examples.columns, examples.outcomes
    moment = columns["moment"].to_numpy() if "moment" in columns.columns else np.zeros(len(columns))
    levels = [columns.index.get_level_values(level) for level in range(columns.index.nlevels)]
    order = np.lexsort([*(pd.factorize(level, sort=True)[0] for level in reversed(levels)), moment])
    if outcomes is not None and len(outcomes) == len(columns):
        outcomes = outcomes.iloc[order]
    return replace(examples, columns=columns.iloc[order], outcomes=outcomes)


def fitted(state: T | None, model: str) -> T:
    """What ``fit`` learned; ``ModelError`` when a model is asked to predict before it was fitted."""
    if state is None:
        raise ModelError(f"{model} is not fitted", expected="fit before predict", do="train the model first")
    return state
