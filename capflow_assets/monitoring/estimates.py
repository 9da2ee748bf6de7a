"""How good scores are before anybody knows what came: estimated from the scores alone, where they are honest chances.

The confidence-based estimate (CBPE of NannyML; Kivimäki, Białek, Kuberski & Nurminen 2025, arXiv 2407.08649): of
subjects scored 0.3 three in ten are taken to have the outcome. It depends on the distribution of the scores alone, so a
histogram of 256 bins, kept for a night, says all of it. It cannot see that the same users have come to behave
otherwise, and it believes whatever the scores say: so it is told with the error that it had on earlier nights, and it
says when it is blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.learning.intervals import Interval
from capflow_assets.monitoring.observations import Z95

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 256
# Fewer past errors say little of the next one.
LEAST_ERRORS = 2
# With more of the model's weight in columns that have moved, most users are unlike those that it learned from.
MOST_MOVED = 0.5
ESTIMATED = ("roc_auc",)


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """How many scores lie in each of 256 equal bins of 0 to 1, and their mean in each (an empty one's middle)."""

    counts: np.ndarray
    means: np.ndarray

    @property
    def size(self) -> int:
        """How many scores there are."""
        return int(self.counts.sum())


def histogram(scores: pd.Series | np.ndarray, bins: int = BINS) -> ScoreHistogram:
    """The histogram of scores from 0 to 1; those that are not finite are left out."""
    import numpy as np

    values = np.asarray(scores, dtype=float)
    values = values[np.isfinite(values)].clip(0, 1)
    place = np.minimum((values * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=values, minlength=bins)
    middles = (np.arange(bins) + 0.5) / bins
    return ScoreHistogram(counts, np.where(counts > 0, sums / np.maximum(counts, 1), middles))


def expected_roc_auc(scores: ScoreHistogram) -> Interval | None:
    """The ROC AUC that the scores would have if they were the chances, with what the draw of the outcomes adds.

    ``sum_b pos_b (neg_below_b + neg_b / 2) / (pos neg)`` with ``pos_b = n_b p_b`` and ``neg_b = n_b (1 - p_b)``; scores
    of a bin are ties, which 256 bins make negligible. The interval is by the standard error of Hanley & McNeil (1982,
    eq. 2). None where nobody, or everybody, is expected to have the outcome.

    >>> import numpy as np
    >>> expected_roc_auc(histogram(np.array([0.25, 0.75]))).value  # pairs: 9 : 1 in order, 6 of 16 tied
    0.75
    """
    positives, negatives = scores.counts * scores.means, scores.counts * (1 - scores.means)
    pos, neg = float(positives.sum()), float(negatives.sum())
    if min(pos, neg) <= 0:
        return None
    area = area_under(positives, negatives)
    error = area_error(area, pos, neg)
    return Interval(area, max(0.0, area - Z95 * error), min(1.0, area + Z95 * error))


def area_under(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The ROC AUC of expected positives and negatives by score, lowest first; those of one place are ties."""
    import numpy as np

    below = np.cumsum(negatives) - negatives / 2
    return float(np.dot(positives, below) / (positives.sum() * negatives.sum()))


def area_error(area: float, pos: float, neg: float) -> float:
    """The standard error of an area of so many positives and negatives (Hanley & McNeil 1982, eq. 2)."""
    both_above, both_below = area / (2 - area), 2 * area**2 / (1 + area)
    several = (max(pos, 1) - 1) * (both_above - area**2) + (max(neg, 1) - 1) * (both_below - area**2)
    return float((max(area * (1 - area) + several, 0.0) / (pos * neg)) ** 0.5)


def with_past_errors(estimate: Interval, errors: Sequence[float]) -> Interval:
    """The estimate with an interval that holds the errors it had before, besides what the draw adds.

    ``errors`` are ``what was measured - what was estimated`` of earlier nights; their mean square is added to that of
    the draw.

    >>> with_past_errors(Interval(0.80, 0.78, 0.82), [0.03, -0.03]).low < 0.74
    True
    """
    if not errors:
        return estimate
    square = sum(error**2 for error in errors) / len(errors)
    reach = (((estimate.high - estimate.low) / 2) ** 2 + Z95**2 * square) ** 0.5
    return Interval(estimate.value, estimate.value - reach, estimate.value + reach)


def blindness(
    metric: str, *, are_chances: bool, is_calibrated: bool | None, moved: float, errors: Sequence[float]
) -> str:
    """Why the scores alone cannot say how good they are; empty where they can.

    ``is_calibrated`` is what the newest outcomes say of the chances, None where none are known; ``moved`` the share of
    the model's weight in columns that have drifted; ``errors`` those of earlier estimates.
    """
    if metric not in ESTIMATED:
        return f"{metric} cannot be told of scores alone"
    if not are_chances:
        return "its scores are no chances"
    if is_calibrated is False:
        return "its chances are off, as the newest outcomes show"
    if moved > MOST_MOVED:
        return f"columns with {moved:.0%} of the model's weight have moved: its chances may not hold for such users"
    if len(errors) < LEAST_ERRORS:
        needed = f"{len(errors)} of the {LEAST_ERRORS} nights needed to trust them"
        return f"estimates were checked against outcomes on {needed}"
    return ""
