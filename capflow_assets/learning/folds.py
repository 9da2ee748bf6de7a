"""Cross-validation in time: learn from older moments, validate on a newer one, and never let the two overlap.

A moment's outcomes reach a horizon into its future, so a fold trains only on moments whose horizon is over by the
moment that it validates on: a gap of the horizon, in the customer's local days ("purged" cross-validation, López de
Prado 2018, chapter 7). A user may appear on both sides, as an earlier self; what came of the user after the validation
moment may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.expressions.days import days_after
from capflow_assets.learning.moments import apart, of_moments


@dataclass(frozen=True, slots=True)
class Fold:
    """Examples of older moments to learn from, numbered anew, and those of one newer ``moment`` to validate on."""

    train: Examples
    validation: Examples
    moment: datetime


def folds_in_time(examples: Examples, horizon_days: int, count: int = 3) -> tuple[Fold, ...]:
    """At most ``count`` folds, the oldest first, of which each validates on one of the newest moments.

    A moment is validated on where at least one other is over by then: its horizon of ``horizon_days`` local days ends
    at that moment or before. All that are over are learned from. Fewer moments make fewer folds.

    >>> import pandas as pd
    >>> from datetime import UTC
    >>> days = tuple(datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4))
    >>> seen = pd.DataFrame({"visits": [1, 2, 3, 4], "moment": [0, 1, 2, 3]}, index=["a", "a", "a", "b"])
    >>> [(len(fold.train.moments), str(fold.moment.date())) for fold in folds_in_time(Examples(seen, moments=days), 31)]
    [(1, '2024-02-01'), (1, '2024-03-01'), (3, '2024-04-01')]

    Raises:
        EvidenceError: no moment is over by another.
        ModelError: the examples do not say of which moment they are.
    """
    _require_moments(examples)
    parts = apart(examples)
    ends = [days_after(moment, horizon_days, examples.zone) for moment in examples.moments]
    folds: list[Fold] = []
    for place, moment in reversed(list(enumerate(examples.moments))):
        older = [other for other, end in enumerate(ends) if end <= moment and len(parts[other])]
        if older and len(parts[place]) and len(folds) < count:
            folds.append(Fold(of_moments(examples, older), parts[place], moment))
    if not folds:
        raise EvidenceError(
            "There is no fold to validate on",
            expected=f"two past moments, {horizon_days} local days apart or more",
            came=f"{len(examples.moments)}: {', '.join(str(moment.date()) for moment in examples.moments)}",
            do="wait for more history, or choose a shorter horizon",
        )
    return tuple(reversed(folds))


def _require_moments(examples: Examples) -> None:
    if "moment" not in examples.columns.columns and len(examples.moments) > 1:
        raise ModelError(
            "Examples cannot be split by their moments",
            expected="a column moment that numbers them",
            came=f"{len(examples.moments)} moments and no such column",
        )
