"""Which of many columns say something new, judged on arrays. Pure.

Columns come in the order of preference. One is left out where it is nearly empty or constant, or where an earlier one
that is kept says the same: it is known wherever this one is, and the two are equal or almost proportional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Fewer users say nothing about a correlation.
FEWEST_USERS = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a column is kept, and the reason where it is not."""

    is_kept: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """From which fill a column counts, and above which correlation it says nothing new."""

    min_fill_pct: float
    max_correlation: float


def pruned(
    names: Sequence[str],
    values: np.ndarray,
    fill_pct: Sequence[float],
    constants: Sequence[float | None],
    limits: Limits,
) -> list[Verdict]:
    """A verdict for each column.

    Args:
        names: the columns, the preferred first.
        values: users by columns; not a number where unknown.
        fill_pct: the share of users for whom each column is known, in per cent.
        constants: the one value that a column has, None where it has several.
        limits: the thresholds.
    """
    import numpy as np

    known = ~np.isnan(values)
    correlation = correlations(values)
    verdicts: list[Verdict] = []
    kept: list[int] = []
    for place in range(len(names)):
        alone = _alone(fill_pct[place], constants[place], limits)
        covering = [k for k in kept if not (known[:, place] & ~known[:, k]).any()] if not alone else []
        reason = alone or _like_another(names, values, correlation, place, covering, limits)
        verdicts.append(Verdict(reason is None, reason))
        kept += [place] if reason is None else []
    return verdicts


def _alone(fill_pct: float, constant: float | None, limits: Limits) -> str | None:
    if fill_pct < limits.min_fill_pct:
        return f"nearly empty: known for {fill_pct:.2f} % of users, below {limits.min_fill_pct:g} %"
    return None if constant is None else f"constant: {constant:g} wherever it is known"


def _like_another(
    names: Sequence[str],
    values: np.ndarray,
    correlation: np.ndarray,
    place: int,
    covering: Sequence[int],
    limits: Limits,
) -> str | None:
    import numpy as np

    for other in covering:
        if np.array_equal(values[:, place], values[:, other], equal_nan=True):
            return f"duplicate of {names[other]}"
    for other in covering:
        r = float(correlation[place, other])
        if abs(r) > limits.max_correlation:
            return f"over-correlated with {names[other]}: r = {r:.4f}"
    return None


def correlations(values: np.ndarray) -> np.ndarray:
    """Pearson's correlation of every pair of columns over the rows that know both, to six decimals.

    0 where fewer than ``FEWEST_USERS`` know both or one of the two does not vary there.

    >>> import numpy as np
    >>> column = np.arange(40.0)
    >>> correlations(np.column_stack([column, 1 - 2 * column])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    import numpy as np

    mask = ~np.isnan(values)
    known = mask.astype(float)
    x = _standardized(values, mask)
    n = known.T @ known
    sums, squares, products = x.T @ known, (x * x).T @ known, x.T @ x
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = squares - sums * sums / n
        r = (products - sums * sums.T / n) / np.sqrt(np.maximum(spread, 0) * np.maximum(spread.T, 0))
        says = (n >= FEWEST_USERS) & (np.minimum(spread, spread.T) > 1e-9 * n)
    return np.round(np.clip(np.where(says, r, 0.0), -1, 1), 6)


def _standardized(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Each column less its mean, over its deviation; 0 where unknown."""
    import numpy as np

    n = np.maximum(mask.sum(axis=0), 1)
    centred = np.where(mask, values - np.where(mask, values, 0.0).sum(axis=0) / n, 0.0)
    deviation = np.sqrt((centred * centred).sum(axis=0) / n)
    return centred / np.where(deviation > 0, deviation, 1.0)
