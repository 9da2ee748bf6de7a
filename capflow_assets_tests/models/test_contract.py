"""What every model keeps, whichever it is. A new model file is tested here without a line being added."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from capflow_assets import models
from capflow_assets.contract import Estimator, Model
from capflow_assets.errors import ModelError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets_tests.models import shopping

NAMES = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
HEAVY = {"matplotlib", "mlflow", "numpy", "pandas", "pyspark", "scipy", "sklearn", "xgboost"}


@dataclass(frozen=True)
class Case:
    name: str
    model: Model
    train: pd.DataFrame
    train_labels: pd.DataFrame | None
    test: pd.DataFrame
    test_labels: pd.DataFrame

    def params(self, **given: Any) -> Any:
        return self.model.params(**given)

    def fit(self, train: pd.DataFrame | None = None, **given: Any) -> Estimator:
        frame = self.train if train is None else train
        return self.model.estimator(self.params(**given)).fit(frame, self.train_labels)


@cache
def visits() -> pd.DataFrame:
    return shopping.shop()


@cache
def load(name: str) -> Case:
    model = import_module(f"{models.__name__}.{name}").MODEL
    horizon = model.params().horizon_days
    day = shopping.LAST_DAY - horizon
    test = shopping.features_at(visits(), day)
    test_labels = shopping.outcomes(visits(), day, shopping.LAST_DAY, test.index)
    if model.learns_from == "features":
        return Case(name, model, test, None, test, test_labels)
    train, labels = shopping.examples(visits(), horizon, 4)
    return Case(name, model, train, labels, test, test_labels)


@cache
def fitted(name: str) -> tuple[Estimator, pd.DataFrame]:
    estimator = load(name).fit()
    return estimator, estimator.predict(load(name).test)


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    return load(request.param)


@pytest.fixture
def predictions(case: Case) -> pd.DataFrame:
    return fitted(case.name)[1]


def test_there_are_models() -> None:
    assert {"rfm_segments", "lifetime_value", "purchase_propensity"} <= set(NAMES)


def test_importing_a_model_loads_nothing_heavy(case: Case) -> None:
    code = f"import sys, {models.__name__}.{case.name}; print(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_columns_are_those_of_the_named_blocks(case: Case) -> None:
    known = {name for block in case.model.features for name in _block(block)}
    assert set(case.model.columns) <= known


def _block(name: str) -> tuple[str, ...]:
    return tuple(import_module(f"capflow_assets.features.{name}").TABLE.names)


def test_predictions_have_a_score_and_reasons_for_each_row(case: Case, predictions: pd.DataFrame) -> None:
    assert predictions.index.equals(case.test.index)
    assert predictions["score"].dtype == np.float64
    assert np.isfinite(predictions["score"]).all()
    assert (predictions["score"] >= 0).all()
    assert predictions["reasons"].map(len).min() > 0
    assert predictions["score"].nunique() > 5
    assert not predictions.drop(columns="reasons").isna().any().any()


def test_it_beats_its_baseline_on_the_tiny_world(case: Case, predictions: pd.DataFrame) -> None:
    baseline = case.model.baseline(case.params()).fit(case.train, case.train_labels).predict(case.test)
    gain = difference_with_interval(case.model.metric, case.test_labels, predictions, baseline, seed=0, replicates=100)
    assert gain.low > 0, gain


def test_it_holds_its_own_gate_on_the_tiny_world(case: Case, predictions: pd.DataFrame) -> None:
    assert case.model.gate.calibration(case.test_labels, predictions) <= case.model.gate.at_most


def test_fitting_twice_is_fitting_once(case: Case, predictions: pd.DataFrame) -> None:
    estimator = case.fit()
    estimator.fit(case.train, case.train_labels)
    pd.testing.assert_frame_equal(estimator.predict(case.test), predictions, check_exact=True)


def test_fitting_gives_the_estimator_back(case: Case) -> None:
    estimator = case.model.estimator(case.params())
    assert estimator.fit(case.train, case.train_labels) is estimator


def test_saving_and_loading_changes_no_score(case: Case, predictions: pd.DataFrame) -> None:
    estimator = fitted(case.name)[0]
    again = cloudpickle.loads(cloudpickle.dumps(estimator))
    pd.testing.assert_frame_equal(again.predict(case.test), predictions, check_exact=True)
    assert again.parameters() == estimator.parameters()


def test_column_order_and_further_columns_are_irrelevant(case: Case, predictions: pd.DataFrame) -> None:
    def disturbed(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame.columns[::-1]].assign(aardvark=1.0, label="text")

    estimator = case.fit(disturbed(case.train))
    pd.testing.assert_frame_equal(estimator.predict(disturbed(case.test)), predictions, check_exact=True)


def test_each_row_is_scored_for_itself(case: Case, predictions: pd.DataFrame) -> None:
    some = case.test.iloc[[5, 1, 3]]
    pd.testing.assert_frame_equal(fitted(case.name)[0].predict(some), predictions.iloc[[5, 1, 3]], check_exact=True)


def test_inputs_are_left_alone(case: Case) -> None:
    train, test = case.train.copy(deep=True), case.test.copy(deep=True)
    labels = None if case.train_labels is None else case.train_labels.copy(deep=True)
    case.fit().predict(case.test)
    pd.testing.assert_frame_equal(case.train, train, check_exact=True)
    pd.testing.assert_frame_equal(case.test, test, check_exact=True)
    if labels is not None:
        pd.testing.assert_frame_equal(case.train_labels, labels, check_exact=True)


def test_nulls_are_tolerated(case: Case) -> None:
    train, test = case.train.copy().astype(float), case.test.copy().astype(float)
    train.iloc[::7, : train.shape[1] - 1] = np.nan
    test.iloc[0] = np.nan
    found = case.fit(train).predict(test)
    assert np.isfinite(found["score"]).all()
    nullable = case.test.convert_dtypes()
    pd.testing.assert_frame_equal(fitted(case.name)[0].predict(nullable), fitted(case.name)[1], check_exact=True)


def test_an_empty_frame_predicts_an_empty_one(case: Case, predictions: pd.DataFrame) -> None:
    found = fitted(case.name)[0].predict(case.test[:0])
    assert found.empty
    assert found.columns.tolist() == predictions.columns.tolist()
    assert found.index.name == "user_id"


def test_predicting_before_fitting_is_refused(case: Case) -> None:
    with pytest.raises(ModelError, match="not fitted"):
        case.model.estimator(case.params()).predict(case.test)


def test_an_absent_column_is_named(case: Case) -> None:
    absent = case.model.columns[0]
    with pytest.raises(ModelError, match=absent):
        case.fit(case.train.drop(columns=absent))


def test_an_empty_training_frame_is_refused(case: Case) -> None:
    labels = None if case.train_labels is None else case.train_labels[:0]
    with pytest.raises(ModelError):
        case.model.estimator(case.params()).fit(case.train[:0], labels)


def test_parameters_can_be_written_down(case: Case) -> None:
    found = fitted(case.name)[0].parameters()
    assert json.loads(json.dumps(found, allow_nan=False))


def test_bounds_of_params_are_respected(case: Case) -> None:
    for name, field in case.model.params.model_fields.items():
        assert field.description, name
        schema = case.model.params.model_json_schema()["properties"][name]
        for end, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
            if end in schema:
                with pytest.raises(ValidationError):
                    case.params(**{name: schema[end] + step})
    with pytest.raises(ValidationError):
        case.params(no_such_parameter=1)


def test_search_ranges_lie_within_bounds_and_around_the_default(case: Case) -> None:
    for name, field in case.model.params.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "search" in extra:
            low, high = extra["search"]
            case.params(**{name: low})
            case.params(**{name: high})
            assert low <= field.default <= high, name


def test_the_plot_is_a_small_figure(case: Case, predictions: pd.DataFrame) -> None:
    from io import BytesIO

    from matplotlib.figure import Figure

    assert case.model.plot is not None
    figure = case.model.plot(case.test_labels, predictions)
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title()
    file = BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) < 40_000
