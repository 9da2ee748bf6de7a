"""Sums over stores and categories, and forecasts of them and of their series made to agree. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capflow_assets.learning.weekly_demand import Demand

ALL = "all"
ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """To which sums each series adds: its store's, its category's, that of all.

    ``groups`` (series, 3) number the sums, of which there are ``stores``, then ``categories``, then one.
    """

    groups: np.ndarray
    stores: int
    categories: int

    @classmethod
    def of(cls, demand: Demand) -> Hierarchy:
        """The sums over the series of a demand, stores and categories by name."""
        store, stores = pd.factorize(demand.stores, sort=True)
        kind, kinds = pd.factorize(demand.categories, sort=True)
        numbers = store, kind + len(stores), np.full(len(demand), len(stores) + len(kinds))
        return cls(np.stack(numbers, axis=1).reshape(-1, 3).astype("int64"), len(stores), len(kinds))

    @property
    def size(self) -> int:
        """How many sums there are."""
        return self.stores + self.categories + 1

    @property
    def store_and_category(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each series, and after them of each sum, the row of its store's sum and of its category's.

        Rows are those of ``together``; of a sum over all stores the store's is that of all, and likewise.
        """
        series, whole = len(self.groups), len(self.groups) + self.size - 1
        sums = np.arange(self.size) + series
        is_store, is_category = sums < series + self.stores, (sums >= series + self.stores) & (sums < whole)
        store = np.concatenate([self.groups[:, 0] + series, np.where(is_store, sums, whole)])
        category = np.concatenate([self.groups[:, 1] + series, np.where(is_category, sums, whole)])
        return store, category

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The rows of series added up, (sums, …)."""
        total = np.zeros((self.size, *values.shape[1:]))
        for group in self.groups.T:
            np.add.at(total, group, values)
        return total

    def reconciled(self, series: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The forecasts of ``series`` that agree best with theirs and with those of their ``sums``, none below 0.

        Weighted least squares by structural scaling: a forecast of a sum of ``n`` series weighs ``1 / n``
        (G. Athanasopoulos et al., Forecasting with Temporal Hierarchies, 2017; S. Wickramasuriya et al., Optimal
        Forecast Reconciliation, 2019, equation 8). Solved by conjugate gradients, so that the number of series may be
        large. One column a week.
        """
        size = np.maximum(np.bincount(self.groups.ravel(), minlength=self.size), 1)[:, None]

        def applied(values: np.ndarray) -> np.ndarray:
            of_sums = self.sums(values) / size
            return np.asarray(values + of_sums[self.groups].sum(axis=1))

        wanted = series + (sums / size)[self.groups].sum(axis=1)
        answer = series.copy()
        rest = wanted - applied(answer)
        step = rest.copy()
        for _ in range(ROUNDS):
            length = (rest**2).sum(axis=0)
            if not (length > 1e-18 * (wanted**2).sum(axis=0)).any():
                break
            towards = applied(step)
            rate = length / np.maximum((step * towards).sum(axis=0), 1e-300)
            answer, rest = answer + rate * step, rest - rate * towards
            step = rest + (rest**2).sum(axis=0) / np.maximum(length, 1e-300) * step
        return np.maximum(answer, 0.0)


def together(demand: Demand, hierarchy: Hierarchy) -> Demand:
    """The series and, after them, their sums, all named ``all``; the price of a sum is that of its pieces."""
    sold = np.where(np.isfinite(demand.price), demand.pieces, 0.0)
    paid, pieces = (hierarchy.sums(values) for values in (sold * np.nan_to_num(demand.price), sold))
    with np.errstate(invalid="ignore", divide="ignore"):
        price = np.where(pieces > 0, paid / pieces, np.nan)
    name = np.full(hierarchy.size, ALL, dtype=object)
    return Demand(
        np.concatenate([demand.stores, name]),
        np.concatenate([demand.categories, name]),
        np.vstack([demand.pieces, hierarchy.sums(demand.pieces)]),
        np.vstack([demand.price, price]),
        demand.today,
    )
