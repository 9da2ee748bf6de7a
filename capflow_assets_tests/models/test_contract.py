"""What every model keeps, whichever it is. A new model file is tested here without a line being added.

All of them learn from one simulated customer, whose tables were landed, cleaned and computed as any customer's are.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from capflow_assets import models
from capflow_assets.contract import Candidate, Estimator, Examples, Model, Search
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import ModelError
from capflow_assets.expressions.as_of import newest
from capflow_assets.graph.engine import Engine, deployment
from capflow_assets.home.places import Home
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.life.answers import answered, rows_of, schema_of, table_of
from capflow_assets.life.comparison import outcomes_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.split import Split, apart, split_in_time, together
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.saved_estimators import dumps, loads, types_of
from capflow_assets_tests.homes import FEW_FEATURES, TestHome
from capflow_assets_tests.models.action_shop import ActionShop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CUSTOMER = "market"
NAMES = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
HEAVY = {"matplotlib", "mlflow", "numpy", "pandas", "pyspark", "scipy", "sklearn", "statsforecast", "torch", "xgboost"}
# Users who come often, tell each other apart by their habits, and of whom those who come rarely answer campaigns.
WORLD = {"r": 2.0, "alpha_weeks": 4.0, "a": 0.5, "b": 20.0, "items": 60, "taste_concentration": 0.3}
WORLD |= {"campaigns": 8, "campaign_reach_pct": 80, "control_pct": 50, "campaign_uplift_pct": 100}
WORLD |= {"campaign_answers": "rare"}
# Categories have their time of the year.
WORLD |= {"category_season": 0.7}
# They keep to hours and channels of their own.
WORLD |= {"own_hours_pct": 60, "own_channel_pct": 80}
# Some of what they buy they review.
WORLD |= {"reviews": 1200}
# Some call.
WORLD |= {"recordings": 200, "recordings_labelled_pct": 100}
# Others come once, for a bargain, and never again.
WORLD |= {"one_time_users": 100}
# Who ignores what is sent opts out.
WORLD |= {"opt_out_pct": 10}
# A model whose planted truth would hide that of others has a customer by itself, with no tables but those that it
# reads: here an item is reduced in some weeks, and users tell each other apart by how much more of it they take then.
SALES = {"r": 4.0, "alpha_weeks": 2.0, "a": 0.5, "b": 50.0, "items": 60, "campaigns": 0, "affinities": 0}
SALES |= {"markdown_pct": 0, "reduced_weeks_pct": 30, "elasticity_step": 0.8}
# Where many items are launched nothing else can be told apart: here every user follows them.
NEWS = {"r": 4.0, "alpha_weeks": 4.0, "a": 0.5, "b": 30.0, "items": 60, "campaigns": 0}
NEWS |= {"launches": 4000, "launch_bills_pct": 100, "launch_style": 4.0}
NEWS_MODEL = "cold_start_recommendations"
OWN_WORLDS: dict[str, dict[str, Any]] = {
    "price_sensitivity": {"users": 1000, **SALES},
    NEWS_MODEL: {"users": 400, **NEWS},
}


@dataclass(frozen=True)
class Case:
    """A model, and its examples of the customer."""

    name: str
    model: Model[Any]
    reader: ExampleReader
    split: Split
    as_of: datetime

    def make(self, candidate: Candidate[Any] | None = None) -> Estimator:
        one_thread = {"threads": 1} if "threads" in self.model.params.model_fields else {}
        return (candidate or self.model.challengers[0]).make(self.model.params(**one_thread))

    @cached_property
    def fitted(self) -> Estimator:
        return self.make().fit(self.split.train)

    @cached_property
    def answers(self) -> pd.DataFrame:
        return answered(self.reader, self.fitted, self.split.test)


def home_of(folder: Path, dials: dict[str, Any], models: Iterable[str]) -> TestHome:
    """A home in which the tables that the models read were made of a simulated customer."""
    home = TestHome(folder / "home")
    brand = tiny(CUSTOMER, seed=3, days=420, **dials)
    home.ok("onboard", str(write(simulate(brand), folder / "files", settings=FEW_FEATURES)))
    read = {table for name in models for table in STAGES.model(name).edges[f"models/{name}"]}
    # What others answered is read where it was kept; here nobody has answered yet.
    tables = sorted(table for table in read if not table.startswith(("models/", "predictions/")))
    home.ok("run", CUSTOMER, "--select", ",".join(f"+{table}" for table in tables))
    return home


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """The home of most models. Do not change it."""
    return home_of(tmp_path_factory.mktemp(CUSTOMER), {"users": 2000, **WORLD}, NAMES)


@pytest.fixture(scope="session")
def own_homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TestHome]:
    """The home of a model whose world is its own, made once. Do not change it."""

    @cache
    def home_of_model(name: str) -> TestHome:
        return home_of(tmp_path_factory.mktemp(name), OWN_WORLDS[name], [name])

    return home_of_model


@pytest.fixture(scope="session")
def cases(
    request: pytest.FixtureRequest, own_homes: Callable[[str], TestHome], spark: SparkSession
) -> Callable[[str], Case]:
    """Every model's case by its name, made once."""
    ready: dict[str, Case] = {}

    def case_of(name: str) -> Case:
        if name not in ready:
            if name == "next_best_action":
                # Which action moves whom is planted in a world of its own, so that the others' stays as it is.
                of_actions: ActionShop = request.getfixturevalue("action_shop")
                shop = of_actions.shop
                ready[name] = Case(name, shop.reader.spec.model, shop.reader, of_actions.split, shop.as_of)
                return ready[name]
            home = own_homes(name) if name in OWN_WORLDS else request.getfixturevalue("market")
            ready[name] = _case(home, name, spark)
        return ready[name]

    return case_of


def _case(home: TestHome, name: str, spark: SparkSession) -> Case:
    place = deployment(STAGES, SOURCES, home=Home.of(home.root), engine=Engine())
    lake, customer, spec = Lake(place.lake.root, lambda: spark), place.customer(CUSTOMER), STAGES.model(name)
    stages = STAGES.of_customer(customer.tables, customer.models, customer.features)
    as_of = newest(lake.table(CUSTOMER, "clean/bills"))
    reader = ExampleReader(lake, stages, customer, spec)
    return Case(name, spec.model, reader, split_in_time(reader, spec.model.params(), as_of), as_of)


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal but for the order of the rows of one subject."""
    pd.testing.assert_frame_equal(_sorted(one), _sorted(other), check_exact=True)


def _sorted(answers: pd.DataFrame) -> pd.DataFrame:
    keys = answers.select_dtypes(exclude="float").columns
    frame = answers.reset_index()
    return frame.sort_values([*map(str, answers.index.names), *keys], ignore_index=True)


def some_of(examples: Examples, places: list[int]) -> Examples:
    """The examples of some rows, in that order, with their outcomes."""
    columns, outcomes = examples.columns.iloc[places], examples.outcomes
    if outcomes is not None and outcomes.index.equals(examples.columns.index):
        return replace(examples, columns=columns, outcomes=outcomes.iloc[places])
    return replace(examples, columns=columns)


def shuffled(examples: Examples, seed: int) -> Examples:
    """The rows of each moment in another order, the columns turned round, and two that nobody knows."""
    random = np.random.default_rng(seed)
    parts = [some_of(one, random.permutation(len(one)).tolist()) for one in apart(examples)]
    mixed = together(parts) if len(parts) > 1 or "moment" in examples.columns.columns else parts[0]
    frames = {name: tuple(frame.sample(frac=1, random_state=seed) for frame in of) for name, of in mixed.tables.items()}
    columns = mixed.columns[mixed.columns.columns[::-1]].assign(aardvark=1.0, text="text")
    return replace(mixed, columns=columns, tables=frames)


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_importing_a_model_loads_nothing_heavy(name: str) -> None:
    code = f"import sys, {models.__name__}.{name}; print(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", NAMES)
def test_bounds_of_params_are_respected(name: str) -> None:
    params = STAGES.model(name).model.params
    schemas = params.model_json_schema()["properties"]
    for parameter, info in params.model_fields.items():
        assert info.description, parameter
        schema = schemas[parameter]
        for end, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
            if end in schema:
                with pytest.raises(ValidationError):
                    params.model_validate({parameter: schema[end] + step})
    with pytest.raises(ValidationError):
        params.model_validate({"no_such_parameter": 1})


@pytest.mark.parametrize("name", NAMES)
def test_search_ranges_lie_within_bounds_and_around_the_default(name: str) -> None:
    params = STAGES.model(name).model.params
    for parameter, info in params.model_fields.items():
        for search in (rule for rule in info.metadata if isinstance(rule, Search)):
            for value in (search.low, search.high):
                params.model_validate({parameter: value})
            assert search.low <= info.default <= search.high, parameter
            assert not search.log or search.low > 0, parameter


# -- fitting -----------------------------------------------------------------------------------------------------------


def test_fitting_twice_is_fitting_once(case: Case) -> None:
    estimator = case.make()
    assert estimator.fit(case.split.train) is estimator
    estimator.fit(case.split.train)
    same(estimator.predict(case.split.test), case.answers)


def test_the_same_seed_gives_the_same_answers(case: Case) -> None:
    same(case.make().fit(case.split.train).predict(case.split.test), case.answers)


def test_the_order_of_rows_and_columns_is_irrelevant(case: Case) -> None:
    estimator = case.make().fit(shuffled(case.split.train, seed=1))
    answers = estimator.predict(shuffled(case.split.test, seed=2))
    # Sums in another order differ in their last digits.
    pd.testing.assert_frame_equal(_sorted(answers), _sorted(case.answers), rtol=1e-9)


def test_inputs_are_left_alone(case: Case) -> None:
    def copied(examples: Examples) -> Examples:
        outcomes = None if examples.outcomes is None else examples.outcomes.copy(deep=True)
        tables = {name: tuple(frame.copy(deep=True) for frame in of) for name, of in examples.tables.items()}
        return replace(examples, columns=examples.columns.copy(deep=True), outcomes=outcomes, tables=tables)

    before = copied(case.split.train), copied(case.split.test)
    case.make().fit(case.split.train).predict(case.split.test)
    for then, now in zip(before, (case.split.train, case.split.test), strict=True):
        pd.testing.assert_frame_equal(then.columns, now.columns, check_exact=True)
        if then.outcomes is not None and now.outcomes is not None:
            pd.testing.assert_frame_equal(then.outcomes, now.outcomes, check_exact=True)
        for name, frames in then.tables.items():
            for frame, other in zip(frames, now.tables[name], strict=True):
                pd.testing.assert_frame_equal(frame, other, check_exact=True)


def test_what_is_saved_answers_the_same_when_it_is_loaded(case: Case) -> None:
    types = types_of(case.model)
    again = loads(dumps(case.fitted, types), types)
    same(again.predict(case.split.test), case.answers)
    assert again.parameters() == case.fitted.parameters()


def test_every_candidate_can_be_fitted_saved_and_loaded(case: Case) -> None:
    types = types_of(case.model)
    for candidate in case.model.candidates:
        estimator = case.make(candidate).fit(case.split.train)
        answers = answered(case.reader, estimator, case.split.test)
        same(loads(dumps(estimator, types), types).predict(case.split.test), answers)


def test_parameters_can_be_written_down(case: Case) -> None:
    parameters = case.fitted.parameters()
    assert json.loads(json.dumps(parameters, allow_nan=False)) is not None


def test_an_absent_column_is_named(case: Case) -> None:
    if not case.model.columns:
        pytest.skip("no block is joined")
    absent = case.model.columns[0]
    train = replace(case.split.train, columns=case.split.train.columns.drop(columns=absent))
    with pytest.raises(ModelError, match=absent):
        case.make().fit(train)


def test_nothing_to_learn_from_is_refused_or_answered_by_the_baseline(case: Case) -> None:
    """No examples at all: a model error, or an estimator that answers all the same; never another crash."""
    train = case.split.train
    none = replace(
        train,
        columns=train.columns[:0],
        outcomes=None if train.outcomes is None else train.outcomes[:0],
        tables={name: tuple(frame[:0] for frame in frames) for name, frames in train.tables.items()},
    )
    try:
        estimator = case.make().fit(none)
    except ModelError:
        return
    answered(case.reader, estimator, case.split.test)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_answers_are_for_the_subjects_that_were_asked_about_once_each(case: Case) -> None:
    places = [5, 1, 3] if len(case.split.test) > 5 else [1, 0]
    some = some_of(case.split.test, places)
    answers = answered(case.reader, case.fitted, some)
    assert set(answers.index) <= set(some.columns.index)
    if case.model.answer.shape == "score":
        pd.testing.assert_frame_equal(answers, case.answers.iloc[places], check_exact=True)
    assert not answers.reset_index().duplicated([*case.model.subject.key, *case.model.answer.per]).any()


def test_nobody_asked_about_is_nobody_answered_for(case: Case) -> None:
    answers = case.fitted.predict(some_of(case.split.test, []))
    assert answers.empty
    assert set(case.answers.columns) == set(answers.columns)
    assert list(answers.index.names) == list(case.model.subject.key)


def test_answers_have_the_shape_that_is_declared(case: Case) -> None:
    frame = rows_of(case.model, case.answers, 7, case.as_of)
    table = table_of(case.model)
    assert list(table.names) == [name for name in frame.columns if name in table.names]
    assert not frame.duplicated(list(table.key)).any()
    assert schema_of(case.model, frame).names == list(frame.columns)
    if case.model.answer.ranked_by:
        assert np.isfinite(frame["score"]).all()
        assert frame["score"].nunique() > 5
        assert frame["reasons"].map(len).min() > 0
    if case.model.answer.shape == "list":
        ranked = frame.sort_values([*case.model.subject.key, "rank"])
        assert (ranked.groupby(list(case.model.subject.key))["score"].diff().dropna() <= 0).all()


def test_figures_without_reasons_are_those_with_them(case: Case) -> None:
    short = answered(case.reader, case.fitted, case.split.test, with_reasons=False)
    same(short, case.answers[short.columns])


def test_most_subjects_are_answered_for(case: Case) -> None:
    share = case.split.test.columns.index.isin(case.answers.index).mean()
    assert share >= case.model.coverage


def test_it_beats_its_baseline_in_the_planted_world(case: Case) -> None:
    baseline = answered(case.reader, case.make(case.model.baseline).fit(case.split.train), case.split.test)
    outcomes = outcomes_of(case.split.test)
    best = max(
        (
            difference_with_interval(case.model.metric, outcomes, answers, baseline, seed=0, replicates=100)
            for answers in _of_all_challengers(case)
        ),
        key=lambda gain: gain.value,
    )
    assert best.low > 0 if case.model.beats == "better" else best.high >= 0, best


def _of_all_challengers(case: Case) -> list[pd.DataFrame]:
    first, *others = case.model.challengers
    fitted = [case.fitted, *(case.make(candidate).fit(case.split.train) for candidate in others)]
    assert first in case.model.candidates
    return [answered(case.reader, estimator, case.split.test) for estimator in fitted]


def test_it_holds_its_own_rules_in_the_planted_world(case: Case) -> None:
    outcomes = outcomes_of(case.split.test)
    for rule in case.model.rules:
        figure = rule.measure(outcomes, case.answers)
        assert rule.otherwise == "tell" or rule.at_least <= figure <= rule.at_most, (rule.name, figure)


def test_the_plot_is_a_small_figure(case: Case) -> None:
    from io import BytesIO

    from matplotlib.figure import Figure

    assert case.model.plot is not None
    figure = case.model.plot(outcomes_of(case.split.test), case.answers)
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title()
    file = BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) < 40_000


# -- time --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Torn(Lake):
    """The lake, in which every figure of every row later than a moment is another one."""

    moment: datetime = field(kw_only=True)

    def table(self, customer: str, table: str, version: int | None = None) -> DataFrame:
        from pyspark.sql import functions as F

        frame = Lake.table(self, customer, table, version)
        spec = STAGES.tables.get(table)
        if spec is None or spec.table.time is None:
            return frame
        is_later = F.col(spec.table.time) > F.lit(self.moment)
        kinds = dict(frame.dtypes)
        torn = {name: F.col(name) * -7 for name, kind in kinds.items() if kind in ("double", "int", "bigint")}
        torn |= {name: ~F.col(name) for name, kind in kinds.items() if kind == "boolean"}
        later = {name: F.when(is_later, value).otherwise(F.col(name)).cast(kinds[name]) for name, value in torn.items()}
        return frame.withColumns(later) if later else frame.filter(~is_later)


def test_nothing_after_the_moment_is_read(case: Case) -> None:
    moment = case.as_of - timedelta(days=100)
    torn = replace(case.reader, lake=Torn(case.reader.lake.root, case.reader.lake.spark, moment=moment), versions={})
    honest, other = case.reader.state(moment), torn.state(moment)
    assert len(honest) > 0
    pd.testing.assert_frame_equal(honest.columns, other.columns, check_exact=True)
    for name, frames in honest.tables.items():
        for frame, torn_frame in zip(frames, other.tables[name], strict=True):
            # Vectors have no order; ids have.
            is_vector = {name: frame[name].map(lambda value: isinstance(value, np.ndarray)).any() for name in frame}
            columns = [name for name in frame.columns if not is_vector[name]]
            pd.testing.assert_frame_equal(
                frame.sort_values(columns, ignore_index=True), torn_frame.sort_values(columns, ignore_index=True)
            )


# -- the whole way -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(1200)
def test_every_model_goes_its_whole_way(market: TestHome, tmp_path: Path) -> None:
    """Trained, registered, scored, watched and told of: what a model file declares fits the life around it."""
    home = market.copied(tmp_path / "home")
    home.ok("run", CUSTOMER, "--select", "models,predictions,health")
    status = home.status(CUSTOMER)
    assert set(status) == set(NAMES)
    # Nothing new is listed there, and so it is told.
    assert status.pop(NEWS_MODEL)["status"] == "not ready"
    assert {row["status"] for row in status.values()} <= {"promoted", "not promoted", "asks"}
    for name, row in status.items():
        report = home.report(CUSTOMER, name)
        assert report["question"] == STAGES.model(name).model.question
        assert home.ok("explain", CUSTOMER, name).startswith(f"{CUSTOMER}.{name}, version {report['version']} ")
        if row["champion"] is None:
            assert not STAGES.model(name).model.baseline.may_answer, name
            continue
        rows = home.rows(f"predictions/{name}", CUSTOMER)
        assert rows, name
        assert {cell["rung"] for cell in rows} == {"own" if row["status"] == "promoted" else "rule"}
        assert {cell["model_version"] for cell in rows} == {row["champion"]}


def test_new_items_are_ranked_the_whole_way(own_homes: Callable[[str], TestHome], tmp_path: Path) -> None:
    home = own_homes(NEWS_MODEL).copied(tmp_path / "home")
    home.ok("run", CUSTOMER, "--select", f"models/{NEWS_MODEL},predictions/{NEWS_MODEL},health/{NEWS_MODEL}")
    assert home.status(CUSTOMER)[NEWS_MODEL]["status"] == "promoted"
    sold = {row["item_id"] for row in home.rows("clean/line_items", CUSTOMER)}
    listed = {row["item_id"] for row in home.rows(f"predictions/{NEWS_MODEL}", CUSTOMER)}
    assert listed
    assert sold.isdisjoint(listed)
