"""What every model keeps, whichever it is. A new model file is tested here without a line being added.

All of them learn from one simulated customer, whose tables were landed, cleaned and computed as any customer's are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.definitions import STAGES
from capflow_assets.errors import ModelError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.life.answers import answered, rows_of, schema_of, table_of
from capflow_assets.life.comparison import outcomes_of
from capflow_assets.life.split import apart, together
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.saved_estimators import dumps, loads, types_of
from capflow_assets_tests.models.market import NAMES, Case
from capflow_assets_tests.old_models import with_former_names

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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


# -- fitting -----------------------------------------------------------------------------------------------------------


def test_fitting_twice_is_fitting_once(case: Case) -> None:
    again = case.repeated
    assert again.is_itself
    same(again.answers, case.small_answers)
    again.estimator.fit(case.split.train)
    same(again.estimator.predict(case.split.test), case.small_answers)


def test_the_same_seed_gives_the_same_answers(case: Case) -> None:
    same(case.repeated.answers, case.small_answers)


def test_the_order_of_rows_and_columns_is_irrelevant(case: Case) -> None:
    estimator = case.make(is_small=True).fit(shuffled(case.split.train, seed=1))
    answers = estimator.predict(shuffled(case.split.test, seed=2))
    # Sums in another order differ in their last digits.
    pd.testing.assert_frame_equal(_sorted(answers), _sorted(case.small_answers), rtol=1e-9)


def test_inputs_are_left_alone(case: Case) -> None:
    for then, now in zip(case.repeated.given, (case.split.train, case.split.test), strict=True):
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
        estimator = case.fit(candidate)
        answers = answered(case.reader, estimator, case.split.test)
        same(loads(dumps(estimator, types), types).predict(case.split.test), answers)


def test_what_was_saved_before_its_type_was_moved_answers_the_same(case: Case) -> None:
    types, some = types_of(case.model), some_of(case.split.test, list(range(min(20, len(case.split.test)))))
    for candidate in case.model.candidates:
        estimator = case.fit(candidate)
        content = dumps(estimator, types)
        former = with_former_names(content)
        if former == content:
            continue
        again = loads(former, types)
        assert type(again) is type(estimator)
        same(again.predict(some), estimator.predict(some))


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
    baseline = answered(case.reader, case.fit(case.model.baseline), case.split.test)
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
    assert all(challenger in case.model.candidates for challenger in case.model.challengers)
    return [answered(case.reader, case.fit(candidate), case.split.test) for candidate in case.model.challengers]


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
