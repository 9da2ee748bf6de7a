"""An ensemble is chosen where it is surely better, behaves as an estimator does, and can be saved."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples, GivesFigures, Horizon, ReadsColumns, Refits
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.ensembles import Ensemble, FoldAnswers, best_ensemble, out_of_fold
from capflow_assets.learning.folds import folds_in_time
from capflow_assets.learning.metrics import mean_by_subject, roc_auc
from capflow_assets.learning.ranking import recall_by_subject
from capflow_assets.stores.saved_estimators import PLAIN, dumps, loads
from capflow_assets_tests.learning.logistic import Logistic
from capflow_assets_tests.learning.shoppers import shoppers

AUC = roc_auc("bought")
FOLDS = folds_in_time(shoppers(users=2000), horizon_days=30)


def by(*columns: str) -> Logistic:
    return Logistic(columns)


def test_two_halves_of_the_truth_are_better_together() -> None:
    answers = out_of_fold({"rate": lambda: by("rate"), "taste": lambda: by("taste")}, FOLDS)
    choice = best_ensemble(answers, AUC, outcome="bought")
    assert choice.single == "rate"
    assert choice.chosen is not None
    assert choice.chosen.gain.low > 0.03
    assert [one.kind for one in choice.tried] == ["average", "stack"]
    assert json.loads(json.dumps(choice.rows()))[0]["against"] == "rate"


def test_noise_adds_nothing_and_is_given_no_weight() -> None:
    makers = {"all": lambda: by("rate", "taste"), "noise": lambda: by("noise_1"), "more": lambda: by("noise_2")}
    choice = best_ensemble(out_of_fold(makers, FOLDS), AUC, outcome="bought")
    assert choice.single == "all"
    assert choice.chosen is None
    (stack,) = [one for one in choice.tried if one.kind == "stack"]
    assert stack.weights["all"] > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_twins_are_no_ensemble(seed: int) -> None:
    folds = folds_in_time(shoppers(users=500, seed=seed), horizon_days=30)
    makers = {f"twin {number}": lambda: by("rate", "taste") for number in range(3)}
    assert best_ensemble(out_of_fold(makers, folds), AUC, outcome="bought").chosen is None


def test_the_weights_that_are_judged_were_learned_before() -> None:
    """A candidate that answers by the outcome itself in the newest fold alone must not be weighted for it."""
    random = np.random.default_rng(0)

    def fold(foresees: bool) -> FoldAnswers:
        index = pd.Index([f"u{number}" for number in range(1000)], name="user_id")
        bought = pd.DataFrame({"bought": random.integers(0, 2, 1000).astype(float)}, index)
        plain = pd.DataFrame({"score": 0.5 + 0.1 * bought["bought"] + random.normal(0, 0.1, 1000)}, index)
        score = bought["bought"] if foresees else pd.Series(random.random(1000), index)
        return FoldAnswers(bought, {"plain": plain, "seer": score.to_frame("score")})

    choice = best_ensemble([fold(False), fold(False), fold(True)], AUC, outcome="bought")
    (stack,) = [one for one in choice.tried if one.kind == "stack"]
    assert stack.gain.value < 0.1


def test_lists_are_fused_where_each_knows_a_part() -> None:
    random = np.random.default_rng(0)
    users = [f"u{number}" for number in range(400)]
    recall = mean_by_subject("recall", lambda outcomes, answers: recall_by_subject(outcomes, answers, 4), True, "")

    def listed(rows: Sequence[tuple[str, Sequence[str]]]) -> pd.DataFrame:
        flat = [(user, item, -place) for user, items in rows for place, item in enumerate(items)]
        return pd.DataFrame(flat, columns=["user_id", "item_id", "score"]).set_index("user_id").astype({"score": float})

    def fold() -> FoldAnswers:
        wanted = {user: random.choice(100, 4, replace=False) for user in users}
        outcomes = listed([(user, [f"i{item}" for item in items]) for user, items in wanted.items()]).assign(bought=1.0)
        halves = {
            name: listed(
                [
                    (user, [*(f"i{item}" for item in items[part]), *(f"{name}{n}" for n in range(2))])
                    for user, items in wanted.items()
                ]
            )
            for name, part in (("first", slice(0, 2)), ("second", slice(2, 4)))
        }
        return FoldAnswers(outcomes, halves)

    choice = best_ensemble([fold(), fold()], recall, per=("item_id",))
    assert choice.chosen is not None
    assert choice.chosen.kind == "rank fusion"
    assert choice.chosen.gain.value == pytest.approx(0.5)


def test_a_candidate_without_evidence_is_left_out_and_one_alone_is_no_ensemble() -> None:
    class Refusing(Logistic):
        def fit(self, examples: Examples) -> Logistic:
            raise EvidenceError("One class only")

    answers = out_of_fold({"rate": lambda: by("rate"), "none": lambda: Refusing(("rate",))}, FOLDS)
    choice = best_ensemble(answers, AUC, outcome="bought")
    assert (choice.single, choice.tried, choice.chosen) == ("rate", (), None)
    with pytest.raises(EvidenceError, match="No candidate"):
        best_ensemble(out_of_fold({"none": lambda: Refusing(("rate",))}, FOLDS), AUC)


def ensemble() -> Ensemble:
    return Ensemble(Horizon(), {"taste": by("taste"), "rate": by("rate"), "idle": by("fad")}, "stack", (0.3, 0.7, 0.0))


def test_it_answers_with_the_weighted_mean_and_the_heaviest_reasons() -> None:
    fold = FOLDS[-1]
    fitted = ensemble().fit(fold.train)
    answers = fitted.predict(fold.validation)
    rate, taste = (by(name).fit(fold.train).predict(fold.validation)["score"] for name in ("rate", "taste"))
    np.testing.assert_allclose(answers["score"], 0.7 * rate + 0.3 * taste)
    pd.testing.assert_series_equal(fitted.figures(fold.validation)["score"], answers["score"])
    assert set(answers["reasons"]) == {"1 columns"}
    assert "reasons" not in fitted.figures(fold.validation)
    assert fitted.parameters()["weights"] == {"rate": 0.7, "taste": 0.3}
    for protocol in (GivesFigures, ReadsColumns, Refits):
        assert isinstance(fitted, protocol)


def test_it_is_saved_and_loaded_with_its_parts() -> None:
    fold = FOLDS[-1]
    fitted = ensemble().fit(fold.train)
    own = {"capflow_assets_tests.learning.logistic.Logistic", "capflow_assets.contract.params.Horizon"}
    types = PLAIN | own
    loaded = loads(dumps(fitted, types), types)
    pd.testing.assert_frame_equal(loaded.predict(fold.validation), fitted.predict(fold.validation))
    assert loaded.parameters() == fitted.parameters()


def test_a_refit_is_another_one_and_leaves_the_first_alone() -> None:
    older, newer = FOLDS[0], FOLDS[-1]
    fitted = ensemble().fit(older.train)
    before = fitted.predict(newer.validation)
    again = fitted.refit(newer.train)
    pd.testing.assert_frame_equal(fitted.predict(newer.validation), before)
    pd.testing.assert_frame_equal(
        again.predict(newer.validation), ensemble().fit(newer.train).predict(newer.validation)
    )


def test_it_reads_what_its_parts_read_or_all_where_one_does_not_say() -> None:
    class Silent:
        """Reads what it likes."""

        def fit(self, examples: Examples) -> Silent:
            return self

        def predict(self, examples: Examples) -> pd.DataFrame:
            return pd.DataFrame({"score": 0.5}, index=examples.columns.index)

        def parameters(self) -> dict[str, float]:
            return {}

    class Choosing(Logistic):
        def using(self, columns: tuple[str, ...]) -> Choosing:
            return Choosing(tuple(name for name in columns if name in self.columns))

    both = Ensemble(Horizon(), {"a": Choosing(("rate", "fad")), "b": Choosing(("rate", "taste"))}, "average")
    assert both.columns == ("rate", "fad", "taste")
    assert both.using(("rate",)).columns == ("rate",)
    assert both.columns == ("rate", "fad", "taste")
    mixed = Ensemble(Horizon(), {"a": Choosing(("rate",)), "b": Silent()}, "average").fit(FOLDS[0].train)
    assert set(mixed.columns) == set(FOLDS[0].train.columns.columns) - {"moment"}
