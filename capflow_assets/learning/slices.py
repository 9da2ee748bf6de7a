"""How good a model is on some of its subjects: new ones, heavy ones, those of one store; and where it is surely worse.

A model may be better than its baseline on the whole and worse for a group that somebody cares about. Many groups are
looked at, so one is called worse only where its difference would be below zero even with the interval widened for so
many comparisons (Bonferroni 1936).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from capflow_assets.contract import Finding, Metric
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.example_weights import example_weights
from capflow_assets.learning.intervals import CONFIDENCE, Interval, difference_with_interval, score_with_interval

Standing = Literal["better", "worse", "not told apart", "too few"]
Mask = npt.NDArray[np.bool_]

LEAST_SUBJECTS = 30
MOST_VALUES = 5
# Days since the first visit up to which a user is new, and the share of the others who are heavy.
NEW_DAYS = 91
HEAVY_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Slice:
    """The metric on some subjects, of the model and of its baseline, and the paired difference: above 0 is better."""

    name: str
    subjects: int
    share: float
    score: Interval | None
    baseline: Interval | None
    difference: Interval | None
    standing: Standing

    def __str__(self) -> str:
        if self.difference is None:
            return f"{self.name}: {self.subjects} subjects, too few to judge"
        return f"{self.name}: {self.score} against {self.baseline}, by {self.difference}, {self.standing}"

    def row(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        intervals = {"score": self.score, "baseline": self.baseline, "difference": self.difference}
        plain = {name: None if one is None else [float(end) for end in one] for name, one in intervals.items()}
        counts = {"slice": self.name, "subjects": self.subjects, "share": round(self.share, 4)}
        return {**counts, **plain, "standing": self.standing}


def sliced(
    metric: Metric,
    outcomes: pd.DataFrame,
    answers: pd.DataFrame,
    baseline: pd.DataFrame,
    masks: Mapping[str, pd.Series],
    seed: int = 0,
    least: int = LEAST_SUBJECTS,
) -> list[Slice]:
    """The metric on each slice, those without subjects left out, in the order of ``masks``.

    A mask says of each subject, by its key, whether it is of the slice; slices may overlap. ``answers`` and
    ``baseline`` are of the same subjects. Of fewer than ``least`` subjects, or where the metric has no value on them,
    nothing is said.
    """
    kept = {name: mask for name, mask in masks.items() if mask.any()}
    return [
        _slice(name, mask, metric, (outcomes, answers, baseline), seed, least, len(kept)) for name, mask in kept.items()
    ]


def slices_finding(slices: Sequence[Slice]) -> Finding:
    """Whether the model is surely worse than its baseline on no slice, and on which it is."""
    worse = [one for one in slices if one.standing == "worse"]
    words = "; ".join(
        f"{one.name}: worse than the baseline by {-one.difference.value:.4f} ({one.subjects:,} subjects)"
        for one in worse
        if one.difference
    )
    return Finding(
        check="slices",
        passed=not worse,
        message=words or f"on none of {len(slices)} slices is it surely worse than its baseline",
        found={"slices": len(slices), "worse": len(worse)},
        sample=tuple(
            {"slice": one.name, "subjects": one.subjects, "difference": one.difference.value}
            for one in worse[:10]
            if one.difference
        ),
    )


def user_slices(columns: pd.DataFrame, weights: np.ndarray | None = None) -> dict[str, pd.Series]:
    """New, light and heavy users, as far as the columns tell: by ``tenure_days`` and ``visits``.

    New are those whose first visit is at most 91 days ago; of the others the quarter with the most visits is heavy.
    ``weights`` say how many users each stands for.

    >>> seen = pd.DataFrame({"tenure_days": [9, 200, 300, 400, 500], "visits": [1, 2, 3, 4, 50]})
    >>> {name: mask.tolist().count(True) for name, mask in user_slices(seen).items()}
    {'new users': 1, 'light users': 3, 'heavy users': 1}
    """
    if "tenure_days" not in columns.columns or "visits" not in columns.columns:
        return {}
    is_new = columns["tenure_days"].astype(float) <= NEW_DAYS
    visits = columns["visits"].astype(float)
    known = visits[~is_new].dropna()
    most = known.quantile(1 - HEAVY_SHARE)
    if weights is not None and len(known):
        mass = pd.Series(weights, visits.index)[~is_new & visits.notna()]
        most = np.quantile(known, 1 - HEAVY_SHARE, weights=mass, method="inverted_cdf")
    is_heavy = ~is_new & (visits > most)
    return {"new users": is_new, "light users": ~is_new & ~is_heavy, "heavy users": is_heavy}


def value_slices(values: pd.Series, noun: str, most: int = MOST_VALUES) -> dict[str, pd.Series]:
    """A slice for each of the most frequent values, the most frequent first, of ties by name.

    >>> list(value_slices(pd.Series(["web", "web", "shop", None]), "channel"))
    ['channel web', 'channel shop']
    """
    counts = values.astype(object).dropna().astype(str).value_counts()
    named = sorted(counts.index, key=lambda value: (-counts[value], value))[:most]
    texts = values.astype(object).where(values.notna()).map(str, na_action="ignore")
    return {f"{noun} {value}": texts == value for value in named}


def _slice(
    name: str,
    mask: pd.Series,
    metric: Metric,
    frames: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    seed: int,
    least: int,
    comparisons: int,
) -> Slice:
    is_of = mask.to_numpy(dtype=bool, na_value=False)
    subjects, share = int(is_of.sum()), float(np.average(is_of, weights=_weights_of(frames[0], mask.index)))
    members = mask.index[is_of]
    outcomes, answers, baseline = (frame[_rows_of(frame, mask.index, is_of, members)] for frame in frames)
    try:
        if subjects < least:
            raise EvidenceError("Too few subjects")
        score, other = (score_with_interval(metric, outcomes, one, seed) for one in (answers, baseline))
        difference = difference_with_interval(metric, outcomes, answers, baseline, seed)
    except EvidenceError:
        return Slice(name, subjects, share, None, None, None, "too few")
    return Slice(name, subjects, share, score, other, difference, _standing(difference, comparisons))


def _weights_of(outcomes: pd.DataFrame, index: pd.Index) -> np.ndarray | None:
    """How many each subject stands for; None where all count the same."""
    return example_weights(outcomes) if outcomes.index.equals(index) else None


def _rows_of(frame: pd.DataFrame, index: pd.Index, is_of: Mask, members: pd.Index) -> Mask:
    """The rows of a frame that are of the members: one a subject, or several."""
    return is_of if frame.index.equals(index) else np.asarray(frame.index.isin(members))


def _standing(difference: Interval, comparisons: int) -> Standing:
    from scipy.stats import norm

    tail = (1 - CONFIDENCE) / 2
    wider = float(norm.ppf(1 - tail / comparisons) / norm.ppf(1 - tail))
    if difference.value + wider * (difference.high - difference.value) < 0:
        return "worse"
    return "better" if difference.value + wider * (difference.low - difference.value) > 0 else "not told apart"
