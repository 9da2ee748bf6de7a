"""From a fitted estimator to the recipe of its scores, tried on users before it is kept.

Boosted trees become graphs, curves become numbers, several together become both. What is converted must answer within
``TOLERANCE`` of the estimator itself on all rows that it is tried on; else the recipe says that the estimator must be
asked itself, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from capflow_assets.contract import Estimator
from capflow_assets.learning.online.by_code import CODE, by_code, columns_of
from capflow_assets.learning.online.files import OnlineModel
from capflow_assets.learning.online.scorers import SCORES, Figures, ready_scorer
from capflow_assets.learning.online.tree_graphs import UnfitTreesError, booster_graph

if TYPE_CHECKING:
    from capflow_assets.learning.calibration import Calibrator

TOLERANCE = 1e-6
TRIAL_ROWS = 1_000
HOLES = 0.1


def online_scores(estimator: Estimator, columns: Sequence[str], trial: np.ndarray) -> OnlineModel:
    """A fitted estimator as a file; ``trial`` are rows of ``columns`` that both must agree on.

    Where nothing is known of users yet they must agree on numbers that are drawn.
    """
    names = columns_of(estimator, columns)
    try:
        writer = _Writer()
        answer = writer.part(estimator)
        recipe = {"kind": SCORES, "columns": list(names), "nodes": writer.nodes, "answer": answer}
        online = OnlineModel(recipe, tuple(writer.graphs))
        rows = trial[:, [list(columns).index(name) for name in names]] if len(trial) else _drawn(len(names))
        if agrees(ready_scorer(online).figures(rows), by_code(estimator, names)(rows)):
            return online
        why = f"its conversion is further than {TOLERANCE:g} from it"
    except (UnfitTreesError, AttributeError, TypeError, ImportError) as error:
        why = f"{type(estimator).__name__} is not converted: {error}"
    return OnlineModel({"kind": CODE, "why": why, "columns": list(names)})


def with_holes(sample: np.ndarray, seed: int = 0, rows: int = TRIAL_ROWS) -> np.ndarray:
    """So many rows drawn of a sample; of the second half a tenth of the numbers is missing. None of none."""
    if not len(sample):
        return sample
    chance = np.random.default_rng(seed)
    drawn = sample[chance.integers(0, len(sample), rows)]
    holes = chance.random(drawn.shape) < HOLES
    holes[: rows // 2] = False
    drawn[holes] = np.nan
    return drawn


def agrees(figures: Figures, expected: Figures) -> bool:
    """Whether all figures are within ``TOLERANCE``: of amounts above 1, as a share of them.

    >>> agrees({"score": np.array([0.5])}, {"score": np.array([0.5 + 5e-7])})
    True
    >>> agrees({"score": np.array([0.5])}, {"score": np.array([0.50001])})
    False
    """
    return figures.keys() >= expected.keys() and all(
        np.allclose(figures[name], values, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        for name, values in expected.items()
    )


def _drawn(width: int) -> np.ndarray:
    """Numbers of many sizes, a tenth of them missing."""
    chance = np.random.default_rng(0)
    rows = chance.normal(size=(TRIAL_ROWS, width)) * 10.0 ** chance.integers(-2, 5, (TRIAL_ROWS, width))
    return np.where(chance.random(rows.shape) < HOLES, np.nan, rows)


@dataclass(slots=True)
class _Writer:
    """Writes parts of a recipe, and gathers the graphs that they name by their place."""

    graphs: list[bytes] = field(default_factory=list)
    nodes: int = 0

    def part(self, estimator: Any) -> dict[str, Any]:
        from capflow_assets.learning.boosted_amounts import BoostedAmount
        from capflow_assets.learning.chances import ChanceEstimator
        from capflow_assets.learning.ensembles import Ensemble

        if isinstance(estimator, Ensemble):
            return self._mean(estimator)
        if isinstance(estimator, ChanceEstimator):
            return self._chance(estimator)
        if isinstance(estimator, BoostedAmount):
            return self._amount(estimator)
        raise UnfitTreesError("neither trees nor curves")

    def _graph(self, booster: Any) -> int:
        graph, nodes = booster_graph(booster)
        self.graphs.append(graph)
        self.nodes += nodes
        return len(self.graphs) - 1

    def _chance(self, estimator: Any) -> dict[str, Any]:
        from capflow_assets.learning.boosting import BoostedChance
        from capflow_assets.learning.extra_trees import ExtraTrees
        from capflow_assets.learning.spline_logistic import SplineLogistic

        shared = {"columns": list(estimator.columns), "calibrator": _calibrator(estimator.calibrator)}
        if type(estimator) is SplineLogistic:
            return {
                "kind": "curves",
                **shared,
                "knots": [estimator.knots[name].tolist() for name in estimator.columns],
                "centre": estimator.centre.tolist(),  # type: ignore[union-attr]  # AttributeError: it is not fitted
                "weights": estimator.weights.tolist(),  # type: ignore[union-attr]
                "intercept": estimator.intercept,
            }
        if type(estimator) not in (BoostedChance, ExtraTrees):
            raise UnfitTreesError("a chance of a kind of its own")
        is_share = type(estimator) is ExtraTrees
        return {"kind": "trees", **shared, "graph": self._graph(estimator.trees), "is_share": is_share}

    def _amount(self, estimator: Any) -> dict[str, Any]:
        from capflow_assets.learning.boosted_amounts import TweedieAmount, TwoPartAmount

        parts = {TweedieAmount: ("mean", None), TwoPartAmount: ("amount", "chance")}.get(type(estimator))
        if parts is None:
            raise UnfitTreesError("an amount of a kind of its own")
        mean, chance = parts
        calibrator, bands = estimator.calibrator, estimator.bands
        return {
            "kind": "amount",
            "columns": list(estimator.columns),
            "unit": estimator.unit,
            "cap": estimator.cap,
            "intercept": calibrator.intercept,
            "slope": calibrator.slope,
            "edges": bands.edges.tolist(),
            "low": bands.low.tolist(),
            "high": bands.high.tolist(),
            "mean": self._graph(estimator.trees[mean]),
            "chance": None if chance is None else self._graph(estimator.trees[chance]),
        }

    def _mean(self, ensemble: Any) -> dict[str, Any]:
        if ensemble.kind == "rank fusion":
            raise UnfitTreesError("lists that are fused")
        parts = [self.part(part) for part in ensemble.parts.values()]
        return {"kind": "mean", "parts": parts, "weights": [float(weight) for weight in ensemble.weights]}


def _calibrator(calibrator: Calibrator) -> dict[str, Any]:
    return {
        "kind": calibrator.kind,
        "slope": float(calibrator.slope),
        "other_slope": float(calibrator.other_slope if calibrator.kind == "beta" else calibrator.slope),
        "intercept": float(calibrator.intercept),
        "knots": [np.asarray(values).tolist() for values in calibrator.knots],
    }
