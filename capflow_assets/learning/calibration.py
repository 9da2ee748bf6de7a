"""Making scores mean what they say; how far they are from it is for ``learning.calibration_errors`` to say.

Four ways, the simplest first: ``none`` (scores are chances already), ``platt`` (two numbers: Platt 1999), ``beta``
(three numbers: M. Kull, T. Silva Filho, P. Flach, "Beta calibration", AISTATS 2017) and ``isotonic``, which bends
freely. The simplest is taken that is within one standard error of the best, by the log loss on rows that it was not
fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

KINDS = ("none", "platt", "beta", "isotonic")
FOLDS = 5
# With fewer of the rarer outcome in all folds, nothing tells the ways apart.
LEAST_TO_CHOOSE = 10 * FOLDS
MOST_TO_CHOOSE = 50_000
# Of the search for the likeliest curve: where it has not settled by then, bounds help.
MOST_STEPS, STEP_TOLERANCE = 30, 1e-9
SMALLEST = 1e-9


@dataclass(frozen=True)
class Calibrator:
    """A growing map from scores in [0, 1] to probabilities; made by ``fit_calibrator``.

    ``kind`` is ``"none"``; ``"platt"``, a logistic curve over the score's log-odds with ``slope`` and ``intercept``;
    ``"beta"``, one over ``slope log s - other_slope log(1 - s) + intercept``; or ``"isotonic"``, straight lines between
    ``knots``. ``rows`` and ``positives`` say what it was learned from, ``losses`` what each kind lost a row where the
    kind was chosen.
    """

    kind: str
    rows: int
    positives: int
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[np.ndarray, np.ndarray] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    other_slope: float = 1.0
    losses: dict[str, float] = field(default_factory=dict)

    def apply(self, scores: ArrayLike) -> np.ndarray:
        """The probability for each score."""
        values = np.asarray(scores, dtype=float)
        if self.kind == "none":
            return values.clip(SMALLEST, 1 - SMALLEST)
        if self.kind == "isotonic":
            return np.asarray(np.interp(values, *self.knots))
        from scipy.special import expit

        rise, fall = _logs(values)
        other = self.other_slope if self.kind == "beta" else self.slope
        return np.asarray(expit(self.slope * rise + other * fall + self.intercept))

    def describe(self) -> dict[str, Any]:
        """The calibrator for people."""
        numbers: dict[str, Any] = {"rows": self.rows, "positives": self.positives}
        if self.kind in ("platt", "beta"):
            numbers |= {"slope": self.slope, "intercept": self.intercept}
        if self.kind == "beta":
            numbers["other_slope"] = self.other_slope
        if self.losses:
            numbers["log_losses"] = {kind: round(loss, 6) for kind, loss in self.losses.items()}
        return {"kind": self.kind, **numbers}


def fit_calibrator(
    labels: ArrayLike, scores: ArrayLike, kinds: Sequence[str] = KINDS, weights: np.ndarray | None = None
) -> Calibrator:
    """Learn the calibrator from 0/1 outcomes and scores in [0, 1] that were not fitted on these rows.

    Of ``kinds``, the simplest first, the one is taken that crossed fits say, or Platt's where there are too few of the
    rarer outcome to say. The order of the rows is irrelevant; ``weights`` say how many each stands for.

    Raises ``EvidenceError`` when only one outcome occurs.
    """
    actual = np.asarray(labels, dtype=float) > 0
    values = np.asarray(scores, dtype=float)
    positives = int(actual.sum())
    if positives == 0 or positives == actual.size:
        raise EvidenceError(
            "The scores cannot be calibrated",
            expected="both outcomes among the calibration rows",
            came=f"{positives} positives of {actual.size}",
            do="wait for more history or choose another horizon",
        )
    if len(kinds) == 1:
        return _fit(kinds[0], actual, values, weights)
    if min(positives, actual.size - positives) < LEAST_TO_CHOOSE:
        return _fit("platt", actual, values, weights)
    losses, mass = _crossed_losses(actual, values, kinds, weights)
    chosen = _simplest(losses, mass)
    means = {kind: float(np.average(loss, weights=mass)) for kind, loss in losses.items()}
    return replace(_fit(chosen, actual, values, weights), losses=means)


def _crossed_losses(
    actual: np.ndarray, scores: np.ndarray, kinds: Sequence[str], weights: np.ndarray | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The log loss of each row, in the order of its score, by each kind fitted on the other folds; and its weight."""
    order = np.lexsort((actual, scores))
    # One row after the other goes into the next fold: each holds scores of all heights and both outcomes.
    order = order[:: -(-order.size // MOST_TO_CHOOSE)]
    actual, scores, fold = actual[order], scores[order], np.arange(order.size) % FOLDS
    losses = {kind: np.empty(order.size) for kind in kinds}
    mass = None if weights is None else weights[order]
    for number in range(FOLDS):
        is_out = fold == number
        if actual[~is_out].all() or not actual[~is_out].any():
            continue
        for kind, loss in losses.items():
            of_others = None if mass is None else mass[~is_out]
            chance = _fit(kind, actual[~is_out], scores[~is_out], of_others).apply(scores[is_out])
            loss[is_out] = -np.log(np.where(actual[is_out], chance, 1 - chance).clip(SMALLEST))
    return losses, np.ones(order.size) if mass is None else mass


def _simplest(losses: dict[str, np.ndarray], mass: np.ndarray) -> str:
    """The first kind that loses no more than the best by a standard error of the difference, paired by row."""
    best = min(losses.values(), key=lambda loss: float(np.average(loss, weights=mass)))
    shares = mass / mass.mean()
    for kind, loss in losses.items():
        behind = (loss - best) * shares
        if behind.mean() <= behind.std() / np.sqrt(behind.size):
            return kind
    raise AssertionError  # the best is not behind itself


def _fit(kind: str, actual: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Calibrator:
    rows, positives = actual.size, int(actual.sum())
    if kind == "none":
        return Calibrator("none", rows, positives)
    if kind == "isotonic":
        return Calibrator("isotonic", rows, positives, knots=_centred_isotonic(actual, scores, weights))
    rise, fall = _logs(scores)
    if kind == "platt":
        slope, intercept = _logistic(actual, np.column_stack([rise + fall]), weights)
        return Calibrator("platt", rows, positives, slope, intercept)
    slope, other_slope, intercept = _logistic(actual, np.column_stack([rise, fall]), weights)
    return Calibrator("beta", rows, positives, slope, intercept, other_slope=other_slope)


def _centred_isotonic(
    actual: np.ndarray, scores: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    # A plain isotonic fit is a staircase: it ties users whom the model told apart. Straight lines between the middles
    # of its steps keep their order (centred isotonic regression, Oron & Flournoy 2017).
    from sklearn.isotonic import isotonic_regression

    row_mass = np.ones(actual.size) if weights is None else weights
    unique, place = np.unique(scores, return_inverse=True)
    count = np.bincount(place, weights=row_mass)
    rate = np.bincount(place, weights=actual * row_mass) / count
    fitted = isotonic_regression(rate, sample_weight=count)
    step = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
    mass = np.bincount(step, weights=count)
    middle = np.bincount(step, weights=count * unique) / mass
    height = np.bincount(step, weights=count * fitted) / mass
    edge = 0.5 / row_mass.sum()
    height = np.clip(height, edge, 1 - edge)
    return np.concatenate([[0.0], middle, [1.0]]), np.concatenate([[edge / 2], height, [1 - edge / 2]])


def _logistic(actual: np.ndarray, terms: np.ndarray, weights: np.ndarray | None) -> tuple[float, ...]:
    """The slope of each term and the intercept of the likeliest logistic curve whose slopes are at 0 or above."""
    mass = np.ones(actual.size) if weights is None else weights
    positives, negatives = mass[actual].sum(), mass[~actual].sum()
    # Platt (1999), section 2.2: targets a little inside 0 and 1, so that separable scores keep a finite slope.
    target = np.where(actual, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    start = np.array([1.0] * terms.shape[1] + [0.0])
    best = _by_newton(terms, target, start, mass)
    # A falling calibrator would turn the model's order round, so slopes stay at 0 or above.
    if best is None or (best[:-1] < 0).any():
        best = _within_bounds(terms, target, start, mass)
    return tuple(float(number) for number in best)


def _by_newton(terms: np.ndarray, target: np.ndarray, theta: np.ndarray, mass: np.ndarray) -> np.ndarray | None:
    """The least log loss without bounds, in a few steps; None where the steps do not settle."""
    from scipy.special import expit

    columns = np.column_stack([terms, np.ones(len(terms))])
    for _ in range(MOST_STEPS):
        chance = expit(columns @ theta)
        gradient = columns.T @ (mass * (chance - target))
        curvature = (columns.T * (mass * chance * (1 - chance))) @ columns
        try:
            step = np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:
            return None
        theta = theta - step
        if not np.isfinite(theta).all():
            return None
        if np.abs(step).max() < STEP_TOLERANCE * max(1.0, np.abs(theta).max()):
            return theta
    return None


def _within_bounds(terms: np.ndarray, target: np.ndarray, start: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The least log loss with slopes at 0 or above."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = terms @ theta[:-1] + theta[-1]
        residual = mass * (expit(margin) - target)
        value = np.average(np.logaddexp(0, margin) - target * margin, weights=mass)
        return float(value), np.append(terms.T @ residual, residual.sum()) / mass.sum()

    bounds = [(0, None)] * terms.shape[1] + [(None, None)]
    best: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return best


def _logs(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``log s`` and ``-log(1 - s)``; together the log-odds."""
    inside = np.minimum(np.maximum(scores, SMALLEST), 1 - SMALLEST)  # as np.clip, which takes thrice as long for one
    return np.asarray(np.log(inside)), np.asarray(-np.log1p(-inside))
