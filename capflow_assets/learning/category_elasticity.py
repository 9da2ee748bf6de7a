"""How the pieces sold of an item follow its price, category by category, and shrunk to each other.

Pieces of an item in a week are Poisson of ``exp(item + week of the category + elasticity log price)``: both effects
are taken out. Only weeks in which an item was sold show its price, so the law is that of counts above 0 (W. Greene,
Econometric Analysis, section on truncated counts): its mean is ``m = mu / (1 - exp(-mu))`` and its variance
``m (1 + mu - m)``. Real counts vary more; variances are multiplied by the category's own dispersion.

What one category says is noisy, so it is shrunk to all by the normal model of R. DerSimonian and N. Laird
(Meta-analysis in clinical trials, 1986). Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from capflow_assets.learning.price_choices import Choices

# Items that were not sold in so many of their weeks say little, since their price is not known in the others.
LEAST_WEEKS, LEAST_SOLD_SHARE = 8, 0.7
ROUNDS = 60
STEEPEST = 15.0
# Prices whose logarithms vary by less are as good as fixed.
STILL = 1e-6
CERTAINTY_95 = 1.96
# A price counts as reduced from here on: 5 % below what is usual of the item and the week.
REDUCED = -0.05


@dataclass(frozen=True, slots=True)
class Pooled:
    """Noisy estimates shrunk to their common mean: ``spread`` is how much the true ones differ (standard deviation)."""

    mean: float
    spread: float
    value: np.ndarray
    error: np.ndarray


def pooled(estimate: np.ndarray, variance: np.ndarray, mean: float | None = None) -> Pooled:
    """Normal estimates with known variances, shrunk; one of infinite variance becomes the mean.

    >>> even = pooled(np.array([-1.0, -3.0]), np.array([1e-9, 1e-9]))
    >>> round(even.mean, 6), round(even.spread, 3), even.value.round(6).tolist()
    (-2.0, 1.414, [-1.0, -3.0])
    >>> pooled(np.array([-1.0, 5.0]), np.array([0.1, np.inf])).value.tolist()
    [-1.0, -1.0]
    """
    known = np.isfinite(variance) & (variance > 0)
    weight = np.where(known, 1 / np.where(known, variance, 1.0), 0.0)
    given = np.where(known, estimate, 0.0)
    total = weight.sum()
    if total <= 0:
        return Pooled(mean or 0.0, 0.0, np.full(len(estimate), mean or 0.0), np.zeros(len(estimate)))
    fixed = float(weight @ given / total) if mean is None else mean
    degrees = known.sum() - (mean is None)
    excess = float(weight @ (given - fixed) ** 2) - degrees
    scale = total - (weight @ weight / total if mean is None else 0.0)
    square = max(0.0, excess / scale) if scale > 0 else 0.0
    precision = np.where(known, 1 / (np.where(known, variance, 1.0) + square), 0.0)
    centre = float(precision @ given / precision.sum()) if mean is None else mean
    share = square * precision
    of_centre = 1 / precision.sum() if mean is None else 0.0
    error = np.sqrt(square * (1 - share) + (1 - share) ** 2 * of_centre)
    return Pooled(centre, float(np.sqrt(square)), centre + share * (given - centre), error)


@dataclass(frozen=True, slots=True)
class ItemPrices:
    """What is expected of the price at which an item is bought: one entry per item, NaN where its weeks say too little.

    By a user whose elasticity is that of the category: the ``mean`` of the log price, and how often it is ``reduced``.
    ``step`` is by how much the mean moves with the user's elasticity.
    """

    mean: np.ndarray
    step: np.ndarray
    reduced: np.ndarray


@dataclass(frozen=True, slots=True)
class CategoryElasticities:
    """The elasticity of each category: alone (``own``, NaN where it cannot be seen) and ``shrunk``."""

    names: np.ndarray
    own: np.ndarray
    shrunk: Pooled
    items: np.ndarray
    pieces: np.ndarray

    @property
    def is_seen(self) -> np.ndarray:
        """Which categories say something by themselves."""
        return np.isfinite(self.own)

    def describe(self, most: int = 50) -> dict[str, dict[str, Any]]:
        """The categories of most pieces: elasticity with 95 % interval, what it was before shrinking, and of what."""
        largest = np.argsort(-self.pieces, kind="stable")[:most]
        return {str(self.names[place]): self._described(int(place)) for place in largest}

    def _described(self, place: int) -> dict[str, Any]:
        value, error, own = self.shrunk.value[place], self.shrunk.error[place], self.own[place]
        return {
            "elasticity": round(float(value), 3),
            "low": round(float(value - CERTAINTY_95 * error), 3),
            "high": round(float(value + CERTAINTY_95 * error), 3),
            "unshrunk": round(float(own), 3) if np.isfinite(own) else None,
            "items": int(self.items[place]),
        }


def category_elasticities(choices: Choices) -> CategoryElasticities:
    """The elasticity of each category from its items' weeks; see the module."""
    count = len(choices.categories)
    cells = _cells(choices)
    own, variance = np.full(count, np.nan), np.full(count, np.inf)
    if len(cells.pieces):
        slope, variances = _slopes(cells, count)
        is_seen = np.isfinite(variances)
        own[is_seen], variance[is_seen] = slope[is_seen], variances[is_seen]
    items = np.bincount(choices.category[np.unique(cells.item_id)], minlength=count)
    pieces = np.bincount(choices.category[choices.item], choices.pieces, count)
    return CategoryElasticities(choices.categories, own, pooled(own, variance), items, pieces)


def item_prices(choices: Choices, slope: np.ndarray) -> ItemPrices:
    """What is expected of the items' prices, where each category has that elasticity."""
    cells, count = _cells(choices), len(choices.items)
    effects = _Effects.of(cells)
    for _ in range(ROUNDS):
        effects.follow(cells, slope)
    weight = np.exp(effects.logarithm(cells, slope))
    total = np.bincount(cells.item_id, weight, count)
    safe = np.where(total > 0, total, np.nan)

    def mean(values: np.ndarray) -> np.ndarray:
        means: np.ndarray = np.bincount(cells.item_id, weight * values, count) / safe
        return means

    off = cells.price - mean(cells.price)[cells.item_id]
    level = cells.level - mean(cells.level)[cells.item_id]
    is_reduced = (cells.price < REDUCED).astype(float)
    return ItemPrices(mean=mean(cells.price), step=mean(off * level), reduced=mean(is_reduced))


@dataclass(frozen=True, slots=True)
class _Cells:
    """Items' weeks: the item, its number among those here, the category's week, the category; log prices; pieces.

    ``price`` is less the item's and the week's, ``level`` less the item's.
    """

    item_id: np.ndarray
    item: np.ndarray
    week: np.ndarray
    category: np.ndarray
    price: np.ndarray
    level: np.ndarray
    pieces: np.ndarray


def _cells(choices: Choices) -> _Cells:
    width = int(choices.week.max(initial=0)) + 1
    keys, place = np.unique(choices.item.astype(np.int64) * width + choices.week, return_inverse=True)
    pieces = np.bincount(place, choices.pieces, len(keys))
    price, level = (
        np.bincount(place, choices.pieces * of, len(keys)) / pieces for of in (choices.price, choices.level)
    )
    item, week = np.divmod(keys, width)
    sold = np.bincount(item, minlength=len(choices.items))
    first, last = np.full(len(choices.items), -1), np.full(len(choices.items), width)
    np.maximum.at(first, item, week)
    np.minimum.at(last, item, week)
    stood = first - last + 1
    is_kept = ((sold >= LEAST_WEEKS) & (sold >= LEAST_SOLD_SHARE * stood))[item]
    item, week, price, level, pieces = (of[is_kept] for of in (item, week, price, level, pieces))
    category = choices.category[item]
    number, category_week = (np.unique(of, return_inverse=True)[1] for of in (item, category * width + week))
    return _Cells(item, number, category_week, category, price, level, pieces)


@dataclass(frozen=True, slots=True)
class _Effects:
    """The logarithms of what an item and what a category's week sells, besides the price."""

    of_item: np.ndarray
    of_week: np.ndarray

    @classmethod
    def of(cls, cells: _Cells) -> _Effects:
        """Each item's mean, and weeks all alike."""
        of_item = np.log(np.bincount(cells.item, cells.pieces) / np.bincount(cells.item))
        return cls(of_item, np.zeros(int(cells.week.max(initial=-1)) + 1))

    def logarithm(self, cells: _Cells, slope: np.ndarray) -> np.ndarray:
        """The log mean of each item's week, zeros among them."""
        return self.of_item[cells.item] + self.of_week[cells.week] + slope[cells.category] * cells.price

    def follow(self, cells: _Cells, slope: np.ndarray) -> None:
        """One step towards the effects under which items and weeks sell in all what they sold."""
        for effect, group in ((self.of_item, cells.item), (self.of_week, cells.week)):
            mean, _ = _truncated(self.logarithm(cells, slope))
            ratio = np.bincount(group, cells.pieces) / np.bincount(group, mean)
            effect += np.clip(np.log(ratio), -1.0, 1.0)


def _slopes(cells: _Cells, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The elasticity of each category and its variance, infinite where prices never moved."""
    category, pieces, price = cells.category, cells.pieces, cells.price

    def by_category(values: np.ndarray) -> np.ndarray:
        return np.bincount(category, values, count)

    effects, slope, information = _Effects.of(cells), np.zeros(count), np.zeros(count)
    mean = variance = pieces
    for _ in range(ROUNDS):
        effects.follow(cells, slope)
        mean, variance = _truncated(effects.logarithm(cells, slope))
        information = by_category(variance * price**2)
        step = by_category((pieces - mean) * price) / np.where(information > 0, information, np.inf)
        slope = np.clip(slope + np.clip(step, -1.0, 1.0), -STEEPEST, STEEPEST)
    has_moved = by_category(pieces * price**2) > STILL * by_category(pieces)
    dispersion = _dispersion(cells, mean, variance, count)
    return slope, np.where(has_moved, dispersion / np.where(has_moved, information, 1.0), np.inf)


def _truncated(logarithm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a Poisson count of such a log mean, given that it is above 0."""
    mu = np.exp(np.clip(logarithm, -7.0, 15.0))
    mean = mu / -np.expm1(-mu)
    return mean, np.maximum(mean * (1 + mu - mean), 1e-9)


def _dispersion(cells: _Cells, mean: np.ndarray, variance: np.ndarray, count: int) -> np.ndarray:
    """How much more the counts of each category vary than Poisson ones, at least 1."""
    squares = np.bincount(cells.category, (cells.pieces - mean) ** 2 / variance, count)
    rows = np.bincount(cells.category, minlength=count)
    effects = [np.unique(np.stack([cells.category, of]), axis=1)[0] for of in (cells.item, cells.week)]
    taken = sum((np.bincount(of, minlength=count) for of in effects), np.ones(count))
    dispersion: np.ndarray = np.maximum(1.0, squares / np.maximum(rows - taken, 1.0))
    return dispersion
