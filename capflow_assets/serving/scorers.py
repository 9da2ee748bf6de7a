"""A version that answers at once: from a matrix of features to figures, without pandas where it can be.

Boosted trees go through ONNX Runtime, curves through numpy, several together through both; whatever else reads nothing
but a user's features is asked in its own code. What is converted must answer within ``TOLERANCE`` of the estimator
itself on all rows that it is tried on, or it is served by its own code, and says so (``engine``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Estimator, Examples, ReadsColumns
from capflow_assets.learning.chances import LARGEST
from capflow_assets.serving.tree_graphs import INPUT, OUTPUT, UnfitTreesError, session_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TOLERANCE = 1e-6
CODE_BYTES = 400_000
DRAWN_ROWS = 1_000
OUTPUTS = (OUTPUT,)

Figures = dict[str, "np.ndarray"]
Scoring = Callable[["np.ndarray"], Figures]


@dataclass(frozen=True, slots=True)
class Scorer:
    """One version, ready: ``figures`` takes rows of ``columns`` as 64-bit numbers and gives ``score`` and others.

    ``engine`` is ``onnx``, ``numpy``, or ``code``, the estimator itself. ``size_bytes`` is what it keeps in memory.
    """

    columns: tuple[str, ...]
    engine: str
    figures: Scoring
    size_bytes: int


def scorer_of(estimator: Estimator, columns: Sequence[str], trial: np.ndarray, stored_bytes: int) -> Scorer:
    """The scorer of a fitted estimator; ``trial`` are rows of ``columns`` that it must agree with the estimator on.

    Where nothing is known of users yet it must agree on numbers that are drawn.
    """
    names = tuple(estimator.columns if isinstance(estimator, ReadsColumns) else columns)
    own = Scorer(names, "code", by_code(estimator, names), CODE_BYTES + 3 * stored_bytes)
    try:
        scoring, engines, size = _converted(estimator, names)
    except (UnfitTreesError, AttributeError, TypeError):
        return own
    rows = trial[:, [list(columns).index(name) for name in names]] if len(trial) else _drawn(len(names))
    if not agrees(scoring(rows), own.figures(rows)):
        return own
    return Scorer(names, "onnx" if "onnx" in engines else "numpy", scoring, size)


def _drawn(width: int) -> np.ndarray:
    """Numbers of many sizes, a tenth of them missing."""
    import numpy as np

    chance = np.random.default_rng(0)
    rows = chance.normal(size=(DRAWN_ROWS, width)) * 10.0 ** chance.integers(-2, 5, (DRAWN_ROWS, width))
    return np.where(chance.random(rows.shape) < 0.1, np.nan, rows)


def agrees(figures: Figures, expected: Figures) -> bool:
    """Whether all figures are within ``TOLERANCE``: of amounts above 1, as a share of them.

    >>> import numpy as np
    >>> agrees({"score": np.array([0.5])}, {"score": np.array([0.5 + 5e-7])})
    True
    >>> agrees({"score": np.array([0.5])}, {"score": np.array([0.50001])})
    False
    """
    import numpy as np

    return figures.keys() >= expected.keys() and all(
        np.allclose(figures[name], values, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        for name, values in expected.items()
    )


def by_code(estimator: Estimator, columns: tuple[str, ...]) -> Scoring:
    """The estimator asked as in the night, through a frame."""

    def figures(rows: np.ndarray) -> Figures:
        import numpy as np

        from capflow_assets.learning.permutation import figures_of

        answers = figures_of(estimator, Examples(frame_of(rows, columns)))
        numbers = answers.select_dtypes("number")
        return {str(name): numbers[name].to_numpy(dtype=float, na_value=np.nan) for name in numbers.columns}

    return figures


def frame_of(rows: np.ndarray, columns: tuple[str, ...]) -> pd.DataFrame:
    """Rows of features as estimators read them, indexed by a number for each."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns), index=pd.RangeIndex(len(rows), name="user_id"))


def _converted(estimator: Any, names: tuple[str, ...]) -> tuple[Scoring, set[str], int]:
    from capflow_assets.learning.boosted_amounts import BoostedAmount
    from capflow_assets.learning.chances import ChanceEstimator
    from capflow_assets.learning.ensembles import Ensemble

    if isinstance(estimator, Ensemble):
        return _together(estimator, names)
    if isinstance(estimator, ChanceEstimator):
        return _chance(estimator, names)
    if isinstance(estimator, BoostedAmount):
        return _amount(estimator, names)
    raise UnfitTreesError(type(estimator).__name__)


def _picked(names: tuple[str, ...], own: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """The columns of one estimator as all estimators of ours read them: finite, or missing."""
    import numpy as np

    places = [names.index(name) for name in own]
    is_all = places == list(range(len(names)))

    def pick(rows: np.ndarray) -> np.ndarray:
        values = rows if is_all else rows[:, places]
        return np.where(np.isfinite(values), np.minimum(np.maximum(values, -LARGEST), LARGEST), np.nan)

    return pick


def _margin(booster: Any) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    import numpy as np

    session, size = session_of(booster)

    def margin(rows: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(OUTPUTS, {INPUT: rows.astype(np.float32)})[0][:, 0], dtype=float)

    return margin, size


def _chance(estimator: Any, names: tuple[str, ...]) -> tuple[Scoring, set[str], int]:
    import numpy as np
    from scipy.special import expit

    from capflow_assets.learning.boosting import BoostedChance
    from capflow_assets.learning.extra_trees import ExtraTrees
    from capflow_assets.learning.spline_logistic import SplineLogistic

    pick, calibrator = _picked(names, estimator.columns), estimator.calibrator
    if type(estimator) is SplineLogistic:
        curves = curves_of(estimator)
        return lambda rows: {"score": calibrator.apply(expit(curves(pick(rows))))}, {"numpy"}, CODE_BYTES
    if type(estimator) not in (BoostedChance, ExtraTrees):
        raise UnfitTreesError(type(estimator).__name__)
    margin, size = _margin(estimator.trees)
    if type(estimator) is ExtraTrees:
        return lambda rows: {"score": calibrator.apply(np.clip(margin(pick(rows)), 0.0, 1.0))}, {"onnx"}, size
    return lambda rows: {"score": calibrator.apply(expit(margin(pick(rows))))}, {"onnx"}, size


def curves_of(estimator: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The log-odds of a logistic regression over splines (``learning.spline_logistic``), from an array."""
    import numpy as np

    from capflow_assets.learning.splines import basis, squeezed

    knots = [estimator.knots[name] for name in estimator.columns]
    centre, weights, intercept = estimator.centre, estimator.weights, estimator.intercept

    def log_odds(rows: np.ndarray) -> np.ndarray:
        bent = np.hstack([basis(squeezed(rows[:, place]), knot) for place, knot in enumerate(knots)])
        return np.asarray(intercept + (bent - centre) @ weights)

    return log_odds


def _amount(estimator: Any, names: tuple[str, ...]) -> tuple[Scoring, set[str], int]:
    import numpy as np
    from scipy.special import expit

    from capflow_assets.learning.boosted_amounts import TweedieAmount, TwoPartAmount

    pick, unit, cap = _picked(names, estimator.columns), estimator.unit, estimator.cap
    calibrator, bands = estimator.calibrator, estimator.bands
    parts = {name: _margin(trees) for name, trees in estimator.trees.items()}
    size = sum(bytes_ for _, bytes_ in parts.values())
    if type(estimator) is TweedieAmount:
        mean = parts["mean"][0]

        def raw(rows: np.ndarray) -> np.ndarray:
            return np.asarray(unit * np.exp(mean(rows)))

    elif type(estimator) is TwoPartAmount:
        chance, amount = parts["chance"][0], parts["amount"][0]

        def raw(rows: np.ndarray) -> np.ndarray:
            return np.asarray(unit * expit(chance(rows)) * np.exp(amount(rows)))

    else:
        raise UnfitTreesError(type(estimator).__name__)

    def figures(rows: np.ndarray) -> Figures:
        expected = np.minimum(calibrator.apply(raw(pick(rows))), cap)
        low, high = bands.of(expected)
        return {"score": expected, "low_80": low, "high_80": high}

    return figures, {"onnx"}, size


def _together(ensemble: Any, names: tuple[str, ...]) -> tuple[Scoring, set[str], int]:
    """The weighted mean of the figures that all parts give, as ``learning.combining`` has it."""
    import numpy as np

    if ensemble.kind == "rank fusion":
        raise UnfitTreesError("lists that are fused")
    parts = [_converted(part, names) for part in ensemble.parts.values()]
    weights = np.asarray(ensemble.weights, dtype=float)

    def figures(rows: np.ndarray) -> Figures:
        answers = [scoring(rows) for scoring, _, _ in parts]
        shared = [name for name in answers[0] if all(name in answer for answer in answers)]
        means: Figures = dict(answers[0])
        for name in shared:
            values = np.stack([answer[name] for answer in answers])
            mass = np.where(np.isfinite(values), weights[:, None], 0.0)
            total = mass.sum(axis=0)
            known = np.where(total > 0, total, 1.0)
            means[name] = np.where(total > 0, (np.nan_to_num(values) * mass).sum(axis=0) / known, np.nan)
        return means

    return figures, set().union(*(engines for _, engines, _ in parts)), sum(size for _, _, size in parts)
