"""A recipe of scores, ready: from a matrix of features to figures, by graphs and numpy alone.

What is reckoned here is what the estimators reckon (``chances``, ``boosted_amounts``, ``combining``); that both agree
is tried where a recipe is written (``conversion``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.chances import LARGEST
from capflow_assets.learning.online.files import OnlineModel
from capflow_assets.learning.online.sessions import NODE_BYTES, SESSION_BYTES, asked_at_once, session_of
from capflow_assets.learning.online.tree_graphs import INPUT, OUTPUT
from capflow_assets.learning.splines import basis, squeezed

# The kind of such a recipe.
SCORES = "scores"
# Measured: what a recipe keeps besides its graphs.
RECIPE_BYTES = 100_000
OUTPUTS = (OUTPUT,)
# As in ``learning.calibration``.
SMALLEST = 1e-9

Figures = dict[str, np.ndarray]
Scoring = Callable[[np.ndarray], Figures]
Margin = Callable[[np.ndarray], np.ndarray]
Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scorer:
    """One version, ready: ``figures`` takes rows of ``columns`` as 64-bit numbers and gives ``score`` and others.

    ``engine`` is ``onnx``, ``numpy``, or ``code``, the estimator itself. ``size_bytes`` is what it keeps in memory.
    """

    columns: tuple[str, ...]
    engine: str
    figures: Scoring
    size_bytes: int


def ready_scorer(online: OnlineModel) -> Scorer:
    """The scorer of a recipe of the kind ``scores``.

    Raises:
        BrokenModelError: the recipe is none that this release writes.
    """
    try:
        columns = tuple(online.recipe["columns"])
        sessions = [session_of(graph) for graph in online.graphs]
        size = RECIPE_BYTES + SESSION_BYTES * len(sessions) + NODE_BYTES * int(online.recipe["nodes"])
        scoring = _scoring(online.recipe["answer"], columns, [_margin(session) for session in sessions])
        return Scorer(columns, "onnx" if sessions else "numpy", scoring, size)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        received = f"{type(error).__name__}: {error}"
        raise BrokenModelError("The recipe of a version cannot be read", came=received) from error


def _margin(session: Any) -> Margin:
    run = asked_at_once(session)

    def margin(rows: np.ndarray) -> np.ndarray:
        return np.asarray(run(OUTPUTS, {INPUT: rows.astype(np.float32)}, None)[0][:, 0], dtype=float)

    return margin


def _scoring(part: Part, names: tuple[str, ...], margins: Sequence[Margin]) -> Scoring:
    kinds = {"trees": _trees, "curves": _curves, "amount": _amount, "mean": _mean}
    return kinds[part["kind"]](part, names, margins)


def _picked(names: tuple[str, ...], own: Sequence[str]) -> Margin:
    """The columns of one estimator as all estimators of ours read them: finite, or missing."""
    places = [names.index(name) for name in own]
    is_all = places == list(range(len(names)))

    def pick(rows: np.ndarray) -> np.ndarray:
        values = rows if is_all else rows[:, places]
        if len(values) == 1 and np.fmax.reduce(np.abs(values[0])) <= LARGEST:
            return values
        return np.where(np.isfinite(values), np.minimum(np.maximum(values, -LARGEST), LARGEST), np.nan)

    return pick


def logistic(values: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))``, without scipy, which takes 20 MB."""
    if len(values) == 1:
        return np.array([_logistic_of(values.item())])
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(-values, 700.0))))


def _logistic_of(value: float) -> float:
    """``logistic`` of one number: numpy takes ten times as long to begin with one as to reckon it."""
    return 1.0 / (1.0 + math.exp(min(-value, 700.0)))


def _calibrated(calibrator: Part) -> Margin:
    """``Calibrator.apply`` of ``learning.calibration``; of one number by itself, as most requests ask for one."""
    kind = calibrator["kind"]
    if kind == "none":
        return lambda scores: np.minimum(np.maximum(scores, SMALLEST), 1 - SMALLEST)
    if kind == "isotonic":
        scores_at, chances_at = (np.asarray(values, dtype=float) for values in calibrator["knots"])
        return lambda scores: np.asarray(np.interp(scores, scores_at, chances_at))
    slope, other, intercept = (float(calibrator[name]) for name in ("slope", "other_slope", "intercept"))

    def curve(scores: np.ndarray) -> np.ndarray:
        if len(scores) == 1:
            one = min(max(scores.item(), SMALLEST), 1 - SMALLEST)
            margin = slope * math.log(one) - other * math.log1p(-one) + intercept
            return np.array([_logistic_of(margin)])
        inside = np.minimum(np.maximum(scores, SMALLEST), 1 - SMALLEST)
        return logistic(slope * np.log(inside) - other * np.log1p(-inside) + intercept)

    return curve


def _trees(part: Part, names: tuple[str, ...], margins: Sequence[Margin]) -> Scoring:
    pick, calibrated = _picked(names, part["columns"]), _calibrated(part["calibrator"])
    margin, is_share = margins[part["graph"]], part["is_share"]

    def figures(rows: np.ndarray) -> Figures:
        raw = margin(pick(rows))
        return {"score": calibrated(np.minimum(np.maximum(raw, 0.0), 1.0) if is_share else logistic(raw))}

    return figures


def _curves(part: Part, names: tuple[str, ...], margins: Sequence[Margin]) -> Scoring:
    pick, calibrated = _picked(names, part["columns"]), _calibrated(part["calibrator"])
    knots = [np.asarray(values, dtype=float) for values in part["knots"]]
    centre, weights = np.asarray(part["centre"], dtype=float), np.asarray(part["weights"], dtype=float)
    intercept = float(part["intercept"])

    def figures(rows: np.ndarray) -> Figures:
        values = pick(rows)
        bent = np.hstack([basis(squeezed(values[:, place]), knot) for place, knot in enumerate(knots)])
        return {"score": calibrated(logistic(intercept + (bent - centre) @ weights))}

    return figures


def _amount(part: Part, names: tuple[str, ...], margins: Sequence[Margin]) -> Scoring:
    pick, unit, cap = _picked(names, part["columns"]), float(part["unit"]), float(part["cap"])
    intercept, slope = float(part["intercept"]), float(part["slope"])
    edges, lows, highs = (np.asarray(part[name], dtype=float) for name in ("edges", "low", "high"))
    mean = margins[part["mean"]]
    chance = margins[part["chance"]] if part["chance"] is not None else None

    def figures(rows: np.ndarray) -> Figures:
        values = pick(rows)
        raw = unit * np.exp(mean(values))
        if chance is not None:
            raw = raw * logistic(chance(values))
        expected = np.minimum(np.exp(intercept + slope * np.log(raw)), cap)
        group = np.searchsorted(edges, expected, side="right")
        return {"score": expected, "low_80": expected * lows[group], "high_80": expected * highs[group]}

    return figures


def _mean(part: Part, names: tuple[str, ...], margins: Sequence[Margin]) -> Scoring:
    """The weighted mean of the figures that all parts give, as ``learning.combining`` has it."""
    parts = [_scoring(one, names, margins) for one in part["parts"]]
    weights = np.asarray(part["weights"], dtype=float)

    def figures(rows: np.ndarray) -> Figures:
        answers = [scoring(rows) for scoring in parts]
        shared = [name for name in answers[0] if all(name in answer for answer in answers)]
        means: Figures = dict(answers[0])
        for name in shared:
            values = np.stack([answer[name] for answer in answers])
            mass = np.where(np.isfinite(values), weights[:, None], 0.0)
            total = mass.sum(axis=0)
            known = np.where(total > 0, total, 1.0)
            means[name] = np.where(total > 0, (np.nan_to_num(values) * mass).sum(axis=0) / known, np.nan)
        return means

    return figures
