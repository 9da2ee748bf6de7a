"""How good answers are before their horizon is over: what has come so far, grown by how outcomes of past horizons grew.

Outcomes are taken to come at a steady rate of each subject's own, so of those whom a whole horizon would reach with the
chance ``p`` a part ``g`` of it reaches ``1 - (1 - p) ** g``. The part ``g`` of day ``e`` is learned of past horizons:
``log(1 - share by day e) / log(1 - share in all)``. What is still to come is told of subjects of like scores
(twentieths of them) by what came of those so far, not by what their scores promise: so answers that no longer hold are
seen. Once nothing is to come the figure is the live one.

What a horizon's end alone makes sure, as that a user stayed away, is told by its opposite, which comes day by day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p
from typing import TYPE_CHECKING

from capflow_assets.learning.intervals import Interval
from capflow_assets.monitoring.estimates import area_error, area_under
from capflow_assets.monitoring.observations import Z95

if TYPE_CHECKING:
    import numpy as np

BINS = 20
LEAST_HORIZONS = 2
LEAST_COME = 20
LEAST_PART, MOST_PART = 0.01, 1.0


@dataclass(frozen=True, slots=True)
class Growth:
    """The part of a horizon's outcomes that a day has reached, with the standard error for a horizon to come."""

    part: float
    error: float
    horizons: int

    @property
    def ends(self) -> tuple[float, float]:
        """One standard error to both sides."""
        return max(self.part - self.error, LEAST_PART), min(self.part + self.error, MOST_PART)


@dataclass(frozen=True, slots=True)
class PartialArea:
    """The area with its 95 % interval, and the share of the outcomes that has come, in per cent."""

    interval: Interval
    come_pct: float


def growth_of(shares: Sequence[tuple[float, float]]) -> Growth | None:
    """The growth of past horizons, each the share of subjects by the day and by its end; None of fewer than two.

    >>> growth = growth_of([(0.10, 0.19), (0.10, 0.19)])  # 0.9 is the root of 0.81
    >>> round(growth.part, 3), growth.error, growth.horizons
    (0.5, 0.0, 2)
    """
    from statistics import mean, stdev

    parts = [log1p(-early) / log1p(-final) for early, final in shares if 0 < early <= final < 1]
    if len(parts) < LEAST_HORIZONS:
        return None
    return Growth(mean(parts), stdev(parts) * (1 + 1 / len(parts)) ** 0.5, len(parts))


def partial_roc_auc(
    scores: np.ndarray, has_come: np.ndarray, growth: Growth, was_settled: np.ndarray | None = None
) -> PartialArea | None:
    """The area that answers will have once their horizon is over; None where fewer than twenty outcomes have come.

    Of the subjects that have come ``was_settled`` says of whom that was sure before the horizon began. They count for
    the area, but say nothing of what is still to come, and are not among those of whom ``growth`` was learned.

    The interval holds the draw of the outcomes (the standard error of Hanley & McNeil for as many as have come) and how
    unlike each other the growth of past horizons is; both narrow as the horizon fills.

    >>> import numpy as np
    >>> over = partial_roc_auc(np.arange(100.0), np.arange(100) >= 60, Growth(1.0, 0.0, 2))
    >>> over.interval.value, over.come_pct
    (1.0, 100.0)
    """
    import numpy as np

    settled = np.zeros(has_come.size, dtype=bool) if was_settled is None else was_settled
    come, sure = float(has_come.sum()), float(settled.sum())
    if come - sure < LEAST_COME or come == has_come.size:
        return None
    masses = _Masses.of(scores, has_come, settled)
    area, positives = masses.area(growth.part)
    low, high = (masses.area(part)[0] for part in growth.ends)
    error = (area_error(area, come, has_come.size - positives) ** 2 + ((high - low) / 2) ** 2) ** 0.5
    interval = Interval(area, max(0.0, area - Z95 * error), min(1.0, area + Z95 * error))
    return PartialArea(interval, 100 * (come - sure) / (positives - sure))


@dataclass(frozen=True, slots=True)
class _Masses:
    """By distinct score, lowest first: subjects, those whose outcome has come, and the twentieth that they are in.

    ``settled`` are those of the second whose outcome was sure from the start.
    """

    subjects: np.ndarray
    come: np.ndarray
    settled: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, has_come: np.ndarray, was_settled: np.ndarray) -> _Masses:
        import numpy as np

        _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
        come, settled = (
            np.bincount(inverse, weights=are.astype(float), minlength=counts.size) for are in (has_come, was_settled)
        )
        middle = np.cumsum(counts) - counts / 2
        place = np.minimum((BINS * middle / has_come.size).astype(int), BINS - 1)
        return cls(counts.astype(float), come, settled, place)

    def area(self, part: float) -> tuple[float, float]:
        """The area where ``part`` of the horizon is over, and how many outcomes there will be."""
        import numpy as np

        subjects, come = (
            np.bincount(self.place, weights=one - self.settled, minlength=BINS) for one in (self.subjects, self.come)
        )
        share = come / np.maximum(subjects, 1)
        final = 1 - (1 - share) ** (1 / part)
        to_come = (final - share) / np.maximum(1 - share, 1e-12)
        positives = self.come + (self.subjects - self.come) * to_come[self.place]
        return area_under(positives, self.subjects - positives), float(positives.sum())
