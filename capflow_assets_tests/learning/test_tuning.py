"""A study finds what is better, inside its budget, the same by the same seed, whatever its trials raise."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from capflow_assets.contract import Examples, Horizon, Search
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.folds import Fold, folds_in_time
from capflow_assets.learning.metrics import rmse, roc_auc
from capflow_assets.learning.tuning import TuningBudget, tune
from capflow_assets_tests.learning.logistic import Logistic
from capflow_assets_tests.learning.shoppers import shoppers

AUC = roc_auc("bought")


class LineParams(Horizon):
    """How much of the taste is turned round, and by how much the line is held back."""

    turned: Annotated[float, Search(0.0, 2.0)] = Field(1.0, ge=0, le=2, description="1 is a line without taste.")
    strength: Annotated[float, Search(1e-3, 10.0, log=True)] = Field(1.0, gt=0, description="Freedom of the slopes.")
    copies: Annotated[int, Search(1, 8)] = Field(1, ge=1, description="Of no effect.")


class Turned(Logistic):
    """A line whose slope of ``taste`` is multiplied by ``1 - turned`` once it is fitted: 0 is best, 2 is worst."""

    def __init__(self, params: LineParams) -> None:
        super().__init__(("rate", "taste"), params.strength)
        self.turned = params.turned

    def fit(self, examples: Examples) -> Logistic:
        super().fit(examples)
        self.slopes = self.slopes * np.array([1.0, 1.0 - self.turned])
        return self


def folds(users: int = 800, moments: int = 4) -> tuple[Fold, ...]:
    return folds_in_time(shoppers(users=users, moments=moments), horizon_days=30)


def rows_of(study: Any) -> list[dict[str, Any]]:
    """The trials without their seconds, which differ from run to run."""
    rows: list[dict[str, Any]] = json.loads(json.dumps(study.rows(), allow_nan=False))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("seed", range(4))
def test_the_better_parameters_are_found_and_beat_the_defaults(seed: int) -> None:
    study = tune(LineParams(seed=seed), Turned, AUC, folds(), budget=TuningBudget(trials=25))
    first, *others = study.trials
    assert (first.origin, first.gain) == ("defaults", 0.0)
    assert len(others) == 24
    assert study.params.turned < 0.4
    best = max(trial.gain for trial in study.trials if trial.gain is not None and trial.state == "complete")
    assert best > 0.04
    assert study.params.seed == seed


def test_less_is_better_where_the_metric_says_so() -> None:
    error = rmse("bought", "score")
    study = tune(LineParams(), Turned, error, folds(), budget=TuningBudget(trials=25))
    assert study.params.turned < 0.4
    best = max(study.trials, key=lambda trial: trial.gain or -1.0)
    assert np.mean(best.values) < np.mean(study.trials[0].values)


def test_the_same_seed_makes_the_same_study_and_another_seed_another() -> None:
    budget = TuningBudget(trials=12)
    studies = [tune(LineParams(seed=seed), Turned, AUC, folds(), budget=budget) for seed in (5, 5, 6)]
    assert rows_of(studies[0]) == rows_of(studies[1])
    assert studies[0].params == studies[1].params
    assert rows_of(studies[0])[1:] != rows_of(studies[2])[1:]


def test_trials_behind_the_others_are_given_up_after_some_folds() -> None:
    study = tune(LineParams(), Turned, AUC, folds(), budget=TuningBudget(trials=25))
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.values) < 3 for trial in pruned)
    assert all(len(trial.values) == 3 for trial in study.trials if trial.state == "complete")
    complete = [trial.params["turned"] for trial in study.trials if trial.state == "complete"]
    assert np.mean([trial.params["turned"] for trial in pruned]) > np.mean(complete)


def test_a_study_begins_with_the_best_of_an_earlier_one() -> None:
    earlier = tune(LineParams(seed=1), Turned, AUC, folds(), budget=TuningBudget(trials=25))
    best = max((row for row in earlier.rows() if row["state"] == "complete"), key=lambda row: row["gain"])
    study = tune(LineParams(seed=2), Turned, AUC, folds(), budget=TuningBudget(trials=6), earlier=earlier.rows())
    assert [trial.origin for trial in study.trials] == ["defaults", *["earlier"] * 3, *["search"] * 2]
    assert study.trials[1].params == best["params"]
    assert study.params.turned < 0.4
    # What is suggested after them is near to what was good: the earlier trials count as seen.
    afresh = tune(LineParams(seed=2), Turned, AUC, folds(), budget=TuningBudget(trials=6))
    searched = [[trial.params["turned"] for trial in one.trials if trial.origin == "search"] for one in (study, afresh)]
    assert np.mean(searched[0]) < np.mean(searched[1])


def test_earlier_trials_of_other_parameters_out_of_range_or_of_another_shape_are_left_alone() -> None:
    odd = [
        {"params": {"depth": 3}, "gain": 0.5, "state": "complete"},
        {"params": {"turned": 7.0, "strength": 1.0, "copies": 1}, "gain": 0.5, "state": "complete"},
        {"params": {"turned": 0.1, "strength": 1.0, "copies": 2.5}, "gain": 0.5, "state": "complete"},
        {"params": {"turned": 0.0, "strength": 1.0, "copies": 1}, "gain": None, "state": "raised"},
        {"params": {"turned": 0.0, "strength": 1.0, "copies": 1}, "gain": float("nan"), "state": "complete"},
        {"params": None, "gain": 0.5, "state": "complete"},
        {"values": {"turned": 0.0}, "loss": 0.5},
    ]
    study = tune(LineParams(), Turned, AUC, folds(), budget=TuningBudget(trials=3), earlier=odd)
    assert [trial.origin for trial in study.trials] == ["defaults", "search", "search"]


def test_what_somebody_set_is_not_tuned_unless_asked() -> None:
    study = tune(LineParams(strength=0.5), Turned, AUC, folds(), budget=TuningBudget(trials=8))
    assert study.params.strength == 0.5
    assert all(set(trial.params) == {"turned", "copies"} for trial in study.trials)
    freed = tune(LineParams(strength=0.5), Turned, AUC, folds(), budget=TuningBudget(trials=3), fixed=("turned",))
    assert set(freed.trials[1].params) == {"strength", "copies"}
    all_set = LineParams(strength=0.5, turned=1.0, copies=2)
    assert tune(all_set, Turned, AUC, folds()).trials == ()


@pytest.mark.parametrize("budget", [TuningBudget(trials=0), TuningBudget(seconds=0)])
def test_no_budget_leaves_the_parameters_as_they_are(budget: TuningBudget) -> None:
    study = tune(LineParams(), Turned, AUC, folds(), budget=budget)
    assert (study.params, study.trials) == (LineParams(), ())
    assert tune(LineParams(), Turned, AUC, ()).trials == ()


def ticking() -> Callable[[], float]:
    """A clock that goes on by a second at each look."""
    seconds = count(0.0)
    return lambda: next(seconds)


def test_out_of_time_the_best_so_far_counts() -> None:
    study = tune(LineParams(), Turned, AUC, folds(), budget=TuningBudget(500, seconds=60), clock=ticking())
    assert 3 < len(study.trials) < 30
    assert {trial.state for trial in study.trials[:-1]} <= {"complete", "pruned"}
    best = max((trial for trial in study.trials if trial.state == "complete"), key=lambda trial: trial.gain or 0.0)
    assert study.params.turned == best.params["turned"]


def test_a_trial_cut_short_is_unfinished_and_not_chosen() -> None:
    for seconds in range(5, 20):
        study = tune(LineParams(), Turned, AUC, folds(), budget=TuningBudget(50, seconds), clock=ticking())
        last = study.trials[-1]
        if last.state == "unfinished":
            assert 0 < len(last.values) < 3
            assert study.params == LineParams() or study.params.turned != last.params["turned"]
            return
    pytest.fail("no budget ended within a trial")


class Moody(Turned):
    """Raises for half of the parameters, the defaults among them where it is told so."""

    from_turned = 1.0

    def fit(self, examples: Examples) -> Logistic:
        if self.turned > self.from_turned:
            raise ZeroDivisionError("not with me,\nnot today")
        return super().fit(examples)


class Refusing(Moody):
    """Raises for the defaults too."""

    from_turned = 0.9


@pytest.mark.parametrize("make", [Moody, Refusing])
def test_a_trial_that_raises_is_noted_and_the_study_goes_on(make: type[Moody]) -> None:
    study = tune(LineParams(), make, AUC, folds(), budget=TuningBudget(trials=20))
    raised = [trial for trial in study.trials if trial.state == "raised"]
    assert 0 < len(raised) < 20
    assert {trial.error for trial in raised} == {"ZeroDivisionError: not with me, not today"}
    assert len(study.trials) == 20
    assert study.params.turned < 0.5
    assert rows_of(study)


def test_where_all_raise_the_parameters_stay() -> None:
    class Never(Turned):
        def fit(self, examples: Examples) -> Logistic:
            raise EvidenceError("One class only")

    study = tune(LineParams(), Never, AUC, folds(), budget=TuningBudget(trials=5))
    assert study.params == LineParams()
    assert {trial.state for trial in study.trials} == {"raised"}


def test_a_moment_that_cannot_be_judged_is_no_fold() -> None:
    first, second, third = folds()
    assert second.validation.outcomes is not None
    nobody = Examples(second.validation.columns, second.validation.outcomes * 0, moments=second.validation.moments)
    study = tune(
        LineParams(),
        Turned,
        AUC,
        (first, Fold(second.train, nobody, second.moment), third),
        budget=TuningBudget(trials=10),
    )
    assert {len(trial.values) for trial in study.trials if trial.state == "complete"} == {2}
    assert study.params.turned < 1.0


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    tune(LineParams(), Turned, AUC, folds(users=200), budget=TuningBudget(trials=6))
    assert capfd.readouterr() == ("", "")
