"""A small real estimator for tests of what works with any: a logistic regression that reads some of the columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from capflow_assets.contract import Examples
from capflow_assets.learning.frames import matrix


class Logistic:
    """The chance of ``bought`` by the named columns; unknown values count as the mean."""

    def __init__(self, columns: tuple[str, ...], strength: float = 1.0) -> None:
        self.columns, self.strength = columns, strength
        self.mean = self.spread = self.slopes = np.empty(0)
        self.intercept = 0.0

    def fit(self, examples: Examples) -> Logistic:
        """By maximum likelihood with a penalty."""
        assert examples.outcomes is not None
        values = matrix(examples.columns, self.columns).to_numpy()
        self.mean, self.spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0) + 1e-9
        line = LogisticRegression(C=self.strength).fit(self._scaled(values), examples.outcomes["bought"] > 0)
        self.slopes, self.intercept = line.coef_[0], float(line.intercept_[0])
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the chance."""
        odds = self._scaled(matrix(examples.columns, self.columns).to_numpy()) @ self.slopes + self.intercept
        frame = pd.DataFrame({"score": 1 / (1 + np.exp(-odds))}, index=examples.columns.index)
        return frame.assign(reasons=f"{len(self.columns)} columns")

    def parameters(self) -> dict[str, Any]:
        """The slopes."""
        return dict(zip(self.columns, self.slopes.tolist(), strict=True))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return np.nan_to_num((values - self.mean) / self.spread)
