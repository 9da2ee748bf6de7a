"""Converted versions against the estimators themselves: XGBoost and scikit-learn as they answer in the night."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Estimator, Examples, Horizon
from capflow_assets.learning.boosted_amounts import AmountParams, TweedieAmount, TwoPartAmount
from capflow_assets.learning.boosting import BoostedChance, BoostingParams
from capflow_assets.learning.ensembles import Ensemble
from capflow_assets.learning.extra_trees import ExtraTrees
from capflow_assets.learning.online.by_code import frame_of
from capflow_assets.learning.online.conversion import online_scores
from capflow_assets.learning.online.files import unpacked
from capflow_assets.learning.online.scorers import Scorer, ready_scorer
from capflow_assets.learning.spline_logistic import SplineLogistic
from capflow_assets.serving.scorers import code_scorer

COLUMNS = ("recency", "visits", "spent", "share")
WORDS = {name: f"{name} {{}}" for name in COLUMNS}
FEW = {"rounds": 40, "max_depth": 5, "threads": 1, "min_child_weight": 1.0}


def features(rows: int, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    values = np.column_stack(
        [
            chance.integers(0, 400, rows).astype(float),
            chance.poisson(5, rows).astype(float),
            chance.lognormal(4, 2, rows),
            chance.random(rows),
        ]
    )
    values[chance.random(values.shape) < 0.1] = np.nan
    return values


def converted(estimator: Estimator, rows: np.ndarray) -> Scorer:
    """The scorer of what was written to a file and read again."""
    return ready_scorer(unpacked(online_scores(estimator, COLUMNS, rows).packed()))


def why_by_code(estimator: Estimator, rows: np.ndarray) -> str:
    recipe = online_scores(estimator, COLUMNS, rows).recipe
    assert recipe["kind"] == "code"
    return str(recipe["why"])


@pytest.fixture(scope="module")
def learned() -> dict[str, object]:
    values = features(1500, seed=1)
    state = frame_of(values, COLUMNS)
    chance = np.random.default_rng(2)
    logit = np.nan_to_num(values[:, 1]) / 3 - np.nan_to_num(values[:, 0]) / 150
    is_back = chance.random(1500) < 1 / (1 + np.exp(-logit))
    spent = np.where(is_back, chance.gamma(2, 30, 1500), 0.0)
    outcomes = pd.DataFrame({"bought": is_back.astype(float), "spent": spent}, index=state.index)
    examples = Examples(state, outcomes)
    boosted = BoostedChance(BoostingParams(**FEW), "bought", WORDS).fit(examples)
    curves = SplineLogistic(Horizon(), "bought", WORDS).fit(examples)
    return {
        "boosted": boosted,
        "extra trees": ExtraTrees(BoostingParams(**FEW), "bought", WORDS).fit(examples),
        "curves": curves,
        "two parts": TwoPartAmount(AmountParams(**FEW), "spent", WORDS).fit(examples),
        "tweedie": TweedieAmount(AmountParams(**FEW), "spent", WORDS).fit(examples),
        "together": Ensemble(Horizon(), {"a": boosted, "b": curves}, "stack", (0.7, 0.3)),
        "few columns": BoostedChance(BoostingParams(**FEW), "bought", WORDS).using(("visits", "share")).fit(examples),
    }


@pytest.mark.parametrize("name", ["boosted", "extra trees", "two parts", "tweedie", "together", "few columns"])
def test_trees_answer_as_in_the_night_on_a_thousand_rows(learned, name):
    estimator, rows = learned[name], features(1000, seed=3)
    rows[0] = [np.inf, -np.inf, 1e300, 0.0]
    scorer = converted(estimator, rows)
    expected = estimator.figures(Examples(frame_of(rows, COLUMNS)))
    assert scorer.engine == "onnx"
    figures = scorer.figures(rows[:, [COLUMNS.index(column) for column in scorer.columns]])
    assert set(expected.columns) <= set(figures)
    for column in expected.columns:
        np.testing.assert_allclose(figures[column], expected[column], rtol=1e-6, atol=1e-6)


def test_curves_answer_as_in_the_night_without_a_frame(learned):
    rows = features(1000, seed=4)
    scorer = converted(learned["curves"], rows)
    expected = learned["curves"].figures(Examples(frame_of(rows, COLUMNS)))["score"]
    assert scorer.engine == "numpy"
    np.testing.assert_allclose(scorer.figures(rows)["score"], expected, rtol=1e-9, atol=1e-12)


def test_one_row_and_many_say_the_same(learned):
    rows = features(50, seed=5)
    scorer = converted(learned["boosted"], rows)
    alone = [float(scorer.figures(row[None, :])["score"][0]) for row in rows]
    np.testing.assert_allclose(alone, scorer.figures(rows)["score"], rtol=1e-7)


def test_an_estimator_that_is_not_converted_answers_by_its_own_code(learned):
    class Halved:
        """A rule of somebody's own."""

        params = Horizon()

        def fit(self, examples: Examples) -> Halved:
            return self

        def predict(self, examples: Examples) -> pd.DataFrame:
            return pd.DataFrame({"score": examples.columns["visits"] / 2, "words": "half"})

        def parameters(self) -> dict[str, object]:
            return {}

    rows = features(20, seed=6)
    assert why_by_code(Halved(), rows) == "Halved is not converted: neither trees nor curves"
    scorer = code_scorer(Halved(), COLUMNS, 0)
    assert scorer.engine == "code"
    np.testing.assert_array_equal(scorer.figures(rows)["score"], rows[:, 1] / 2)
    assert scorer.figures(rows)["words"].tolist() == ["half"] * 20


def test_a_conversion_that_does_not_agree_is_not_used(learned):
    class Shifted(BoostedChance):
        """Its own scores are not those of its trees."""

    own = learned["boosted"]
    shifted = Shifted(own.params, own.outcome, own.words)
    shifted.trees, shifted.calibrator = own.trees, own.calibrator
    assert "not converted" in why_by_code(shifted, features(100, seed=7))
    ensemble = Ensemble(Horizon(), {"a": own, "b": learned["curves"]}, "average")
    ensemble.figures = lambda examples: own.figures(examples)  # it was saved with other weights than it answers by
    assert "further than 1e-06" in why_by_code(ensemble, features(100, seed=8))
    assert "further than 1e-06" in why_by_code(ensemble, np.empty((0, len(COLUMNS)))), "tried on no user at all"


@pytest.mark.parametrize("name", ["boosted", "extra trees", "two parts", "tweedie", "together", "few columns"])
def test_a_conversion_is_tried_also_where_no_user_is_known(learned, name):
    assert converted(learned[name], np.empty((0, len(COLUMNS)))).engine == "onnx"
