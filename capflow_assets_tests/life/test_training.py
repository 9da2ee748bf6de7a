"""Training on a shop whose figures are counted by hand: the split, the scores, the decision, and what is registered."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap, rankdata
from sklearn.metrics import roc_auc_score

from capflow_assets.contract import Candidate, Examples, Model, Needs, Outcome, Window
from capflow_assets.deployment import Deployment
from capflow_assets.errors import GraphError, ModelError
from capflow_assets.learning.metrics import roc_auc
from capflow_assets.learning.online.files import NAME, unpacked
from capflow_assets.life.comparison import champion_rival, outcomes_of
from capflow_assets.life.report import training_report
from capflow_assets.life.scoring import score
from capflow_assets.life.split import known_until, split_in_time
from capflow_assets.life.training import NotReady, Trained, params_of, train
from capflow_assets.monitoring.drift import Reference
from capflow_assets.stores.saved_estimators import types_of
from capflow_assets_tests.life.shop import (
    AS_OF,
    MODEL,
    REGULARS,
    SHOP,
    TEST_MOMENT,
    TOML,
    TRAIN_MOMENT,
    Nothing,
    RegularsParams,
    Visits,
    deployment,
    reader,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

REVERSED = RegularsParams(sign=-1)
OF_THE_STATE = replace(REGULARS, fitted="now")


def trained(place: Deployment, params: RegularsParams | None = None) -> Trained:
    result = train(place, reader(place), params or RegularsParams(), AS_OF)
    assert isinstance(result, Trained)
    return result


def test_examples_are_split_in_time(untrained: Path) -> None:
    split = split_in_time(reader(deployment(untrained)), RegularsParams(), AS_OF)
    assert (split.train_moments, split.test_moment) == ((TRAIN_MOMENT,), TEST_MOMENT)
    assert split.train.columns["visits"].value_counts().to_dict() == {1: 20, 4: 20}
    assert split.test.columns["visits"].value_counts().to_dict() == {1: 20, 5: 20}
    assert split.train.outcomes is not None
    assert split.train.outcomes["bought"].sum() == 20
    assert split.test.outcomes is not None
    assert split.test.outcomes["bought"].groupby(split.test.columns["visits"]).sum().to_dict() == {1: 5, 5: 20}
    assert set(split.train.columns["moment"]) == {0}


def test_a_model_of_the_users_state_has_no_examples_of_the_past(untrained: Path) -> None:
    split = split_in_time(reader(deployment(untrained, OF_THE_STATE)), RegularsParams(), AS_OF)
    assert split.train_moments == ()
    assert split.train.outcomes is None
    assert split.labelled is split.test
    pd.testing.assert_frame_equal(split.train.columns, split.test.columns)


def test_outcomes_are_known_until_the_newest_bill(untrained: Path) -> None:
    known = reader(deployment(untrained))
    assert known_until(known, AS_OF) == AS_OF, "8 hours after a bill"
    silent = AS_OF.replace(day=10), AS_OF.replace(month=5, day=20)
    assert [known_until(known, moment) for moment in silent] == [
        AS_OF.replace(day=10),
        AS_OF.replace(month=5, day=10, hour=12),
    ]


def test_the_first_training_by_hand(shop: Path) -> None:
    """Of 25 × 15 pairs in June, 20 × 15 are in order and 5 × 15 tied: an AUC of (300 + 37.5) / 375 = 0.9."""
    place = deployment(shop)
    result = trained(place)
    report = result.report
    assert result.version == 1
    assert report.metric.score.value == pytest.approx(0.9)
    assert (report.baseline.rival, report.baseline.score.value) == ("all alike", 0.5)
    assert report.baseline.difference.value == pytest.approx(0.4)
    assert report.champion is None
    assert (report.coverage.share, report.calibration.error) == (1.0, 0.01)
    assert (report.examples.train, report.examples.test) == (40, 40)
    assert report.decision.action == "promote"
    assert report.decision.reason.startswith("Promoted as the first champion: roc_auc 0.9000, better than all alike")
    assert report.is_settled
    assert {reason.need: reason.found for reason in report.readiness}["users"] == 40
    assert report.data_versions == {"clean/bills": 0}
    assert place.registry.champion(SHOP, MODEL) == 1
    assert training_report(place.registry, SHOP, MODEL, 1) == report


def test_judged_on_too_few_a_person_decides_and_the_rule_answers(shop: Path) -> None:
    place = deployment(shop, replace(REGULARS, least_judged=41))
    report = trained(place).report
    assert report.decision.reason == "A person decides: it was judged on 40 users only, at least 41 needed."
    (judgement,) = (judgement for judgement in report.judgements if judgement.name == "enough")
    assert (judgement.passed, judgement.found) == (False, {"judged": 40, "at_least": 41})
    assert training_report(place.registry, SHOP, MODEL, 2).candidate == "all alike", "the rule, until somebody decides"


def test_what_is_registered_can_be_read_again(trained_once: Path) -> None:
    place = deployment(trained_once)
    reference = Reference.from_json(place.registry.file(SHOP, MODEL, 1, "reference.json").decode())
    assert reference.rows == 41, "all users of the as-of moment, with their scores"
    assert set(reference.columns) == {"visits", "score"}
    run = place.registry.client.get_run(place.registry.client.get_model_version(f"{SHOP}.{MODEL}", "1").run_id)
    assert run.data.metrics["metric.value"] == pytest.approx(0.9)
    assert run.data.params["sign"] == "1"
    online = unpacked(place.registry.file(SHOP, MODEL, 1, NAME)).recipe
    assert (online["kind"], online["columns"]) == ("code", ["visits"]), "an estimator of the test's own"


def test_a_challenger_that_is_worse_than_the_champion_stays_one(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    report = trained(place, REVERSED).report
    assert report.metric.score.value == pytest.approx(0.1)
    assert report.champion is not None
    assert (report.champion.rival, report.champion.score.value) == (1, pytest.approx(0.9))
    assert report.champion.difference.value == pytest.approx(-0.8)
    assert report.decision.action == "keep"
    assert report.decision.reason.startswith("The champion is kept: ")
    assert (place.registry.champion(SHOP, MODEL), place.registry.challenger(SHOP, MODEL)) == (1, 2)


def test_one_as_good_on_newer_data_takes_the_champions_place(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    report = trained(place).report
    assert "not surely worse than the champion (0.0000 [0.0000, 0.0000])" in report.decision.reason
    assert place.registry.champion(SHOP, MODEL) == 2


def test_a_frozen_champion_is_asked_about(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    place.registry.freeze(SHOP, MODEL, frozen=True)
    report = trained(place).report
    assert report.decision.action == "ask"
    assert not report.is_settled
    assert place.registry.champion(SHOP, MODEL) == 1


def test_a_champion_that_is_broken_is_named_and_not_compared_with(trained_shop: Path) -> None:
    place = deployment(trained_shop)
    (Path(place.registry.artifacts(SHOP, MODEL, 1)) / "model" / "model.skops").unlink()
    report = trained(place).report
    assert report.champion is None
    assert report.broken_champion is not None
    assert report.broken_champion.version == 1
    assert "is missing" in report.broken_champion.damage
    assert report.decision.reason.startswith("Promoted in the place of version 1")


def test_a_feature_that_leaks_keeps_the_version_from_being_promoted(shop: Path) -> None:
    """The settings say that no feature may order the users as well as visits do."""
    (shop / "customers" / f"{SHOP}.toml").write_text(f"{TOML}[checks.leakage]\nauc_at_most = 0.6\n")
    place = deployment(shop)
    report = trained(place).report
    assert report.leakage is not None
    assert not report.leakage.passed
    assert report.decision.action == "keep"
    assert report.decision.reason.startswith("Not promoted, since a feature leaks: visits alone orders")
    assert place.registry.challenger(SHOP, MODEL) == 1
    assert (
        training_report(place.registry, SHOP, MODEL, place.registry.champion(SHOP, MODEL) or 0).candidate == "all alike"
    )


def test_the_rule_answers_until_a_model_is_promoted(shop: Path) -> None:
    """Version 1 is worse than the baseline, which answers as version 2; version 3 is better and takes its place."""
    place = deployment(shop)
    assert trained(place, REVERSED).report.decision.action == "keep"
    assert (place.registry.champion(SHOP, MODEL), place.registry.challenger(SHOP, MODEL)) == (2, 1)
    rule = training_report(place.registry, SHOP, MODEL, 2)
    assert rule.metric.score.value == pytest.approx(0.5), "the baseline's own"
    assert rule.decision.reason.startswith("All alike: the rule answers until a model is promoted. Not promoted: ")
    assert scored_rungs(place) == {"rule"}
    report = trained(place).report
    assert report.champion is not None
    assert report.champion.difference.value == pytest.approx(0.4), "held against the rule as against any champion"
    assert place.registry.champion(SHOP, MODEL) == 3
    assert scored_rungs(place) == {"own"}


def test_the_rule_is_fitted_anew_while_it_answers(shop: Path) -> None:
    place = deployment(shop)
    for champion in (2, 4):
        trained(place, REVERSED)
        assert place.registry.champion(SHOP, MODEL) == champion


def test_a_model_whose_rule_may_not_answer_has_no_champion(shop: Path) -> None:
    baseline = replace(REGULARS.baseline, may_answer=False)
    place = deployment(shop, replace(REGULARS, candidates=(*REGULARS.challengers, baseline)))
    trained(place, REVERSED)
    assert place.registry.champion(SHOP, MODEL) is None


def scored_rungs(place: Deployment) -> set[str]:
    assert score(place, reader(place), AS_OF) is not None
    return set(place.lake.arrow(SHOP, f"predictions/{MODEL}")["rung"].to_pylist())


def test_a_model_of_the_users_state_is_fitted_again_at_the_as_of_moment(shop: Path) -> None:
    """40 users are known at the test moment and 41 now; as a rival, the champion is fitted at the test moment."""
    place = deployment(shop, OF_THE_STATE)
    report = trained(place).report
    assert (report.parameters, report.fitted_moments) == ({"users": 41}, ())
    assert (report.examples.train, report.train_moments) == (40, ())
    again = trained(place).report
    assert again.champion is not None
    assert again.champion.difference.value == 0.0


@pytest.mark.parametrize(
    "needs", [Needs(tables=("clean/bills",), users=1000), Needs(tables=("clean/items",))], ids=["users", "table"]
)
def test_without_the_evidence_nothing_is_trained(shop: Path, needs: Needs) -> None:
    draws = Candidate("all alike", Nothing, is_baseline=True, may_answer=False)
    place = deployment(shop, replace(REGULARS, needs=needs, candidates=(REGULARS.candidates[0], draws)))
    result = train(place, reader(place), RegularsParams(), AS_OF)
    assert isinstance(result, NotReady)
    assert not result.verdict.ready
    assert place.registry.versions(SHOP, MODEL) == []


@pytest.mark.parametrize(
    ("declared", "of_run", "sign"), [("", {}, 1), ("sign = -1", {}, -1), ("sign = -1", {"sign": 5}, 5)]
)
def test_a_runs_parameters_come_before_the_customers_and_those_before_the_defaults(
    shop: Path, declared: str, of_run: Mapping[str, int], sign: int
) -> None:
    (shop / "customers" / f"{SHOP}.toml").write_text(f"{TOML}[models.{MODEL}]\n{declared}\n")
    assert params_of(deployment(shop), SHOP, MODEL, dict(of_run)) == RegularsParams(sign=sign)


def test_wrong_parameters_are_all_named(untrained: Path) -> None:
    with pytest.raises(ModelError) as caught:
        params_of(deployment(untrained), SHOP, MODEL, {"moments": 0, "colour": "red"})
    assert "moments" in str(caught.value)
    assert "colour" in str(caught.value)
    assert f"[models.{MODEL}]" in str(caught.value)


def test_a_picture_is_drawn_where_the_model_has_one(shop: Path) -> None:
    from matplotlib.figure import Figure

    def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
        figure = Figure()
        figure.subplots().scatter(outcomes["bought"], answers["score"])
        return figure

    drawn: Model = replace(REGULARS, plot=plot)
    place = deployment(shop, drawn)
    plots = trained(place).plots
    assert plots["holdout.png"].startswith(b"\x89PNG")
    assert place.registry.file(SHOP, MODEL, 1, "holdout.png") == plots["holdout.png"]
    assert json.loads(place.registry.read(SHOP, MODEL, 1, "report/report.json"))["model"] == MODEL


# -- what the served version knows, and what its champion may know -----------------------------------------------------


class Memory(Visits):
    """Scores users by whether they came in the newest horizon that it was fitted on."""

    def __init__(self, params: RegularsParams) -> None:
        super().__init__(params)
        self.buyers: list[str] = []

    def fit(self, examples: Examples) -> Memory:
        assert examples.outcomes is not None
        newest = examples.outcomes[(examples.columns["moment"] == examples.columns["moment"].max()).to_numpy()]
        self.buyers = sorted(newest.index[newest["bought"] > 0])
        super().fit(examples)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        return super().predict(examples).assign(score=examples.columns.index.isin(self.buyers).astype(float))


class Careful(Visits):
    """Has a way of its own to be fitted again, which its users count double in."""

    def refit(self, examples: Examples) -> Careful:
        again = Careful(self.params)
        again.users = self.users + len(examples)
        return again


class Forgetful(Visits):
    """Takes one regular for a beginner: who never errs has an interval of no width, and convinces nobody."""

    def predict(self, examples: Examples) -> pd.DataFrame:
        answers = super().predict(examples)
        return answers.assign(score=answers["score"].where(answers.index != "u20", 1.0))


def with_candidate(make: Any) -> Model[Any]:
    return replace(REGULARS, candidates=(Candidate("chosen", make), REGULARS.baseline))


def test_the_served_version_has_learned_all_that_is_known(shop: Path) -> None:
    """40 users are known at either moment. What is measured is fitted on the older, what serves on both."""
    place = deployment(shop)
    report = trained(place).report
    assert report.fitted_moments == (TRAIN_MOMENT, TEST_MOMENT)
    assert (report.candidate, report.parameters, report.examples.train) == ("visits", {"users": 80}, 40)
    assert place.registry.load(SHOP, MODEL, 1, types_of(REGULARS)).parameters() == {"users": 80}
    kept = trained(place, REVERSED).report
    assert (kept.decision.action, kept.fitted_moments, kept.parameters) == ("keep", (TRAIN_MOMENT,), {"users": 40})


class Trees(Visits):
    """One tree of scikit-learn's; it is kept as the chance that it gives for each number of visits."""

    def __init__(self, params: RegularsParams) -> None:
        super().__init__(params)
        self.chances: dict[str, float] = {}

    def fit(self, examples: Examples) -> Trees:
        from sklearn.tree import DecisionTreeRegressor

        assert examples.outcomes is not None
        visits = examples.columns[["visits"]].to_numpy(dtype=float)
        tree = DecisionTreeRegressor(random_state=0).fit(visits, examples.outcomes["bought"])
        self.chances = {f"{number:g}": float(tree.predict([[number]])[0]) for number in sorted(set(visits[:, 0]))}
        super().fit(examples)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        nearest = [min(self.chances, key=lambda known: abs(float(known) - now)) for now in examples.columns["visits"]]
        return super().predict(examples).assign(score=[self.chances[number] for number in nearest])

    def parameters(self) -> dict[str, Any]:
        return dict(self.chances)


def test_the_two_newest_horizons_reach_the_trees_as_pandas_counts_them(shop: Path) -> None:
    from deltalake import DeltaTable

    place = deployment(shop, with_candidate(Trees))
    report = trained(place).report
    assert report.decision.action == "promote"
    bills = DeltaTable(place.lake.path(SHOP, "clean/bills")).to_pandas().dropna(subset="user_id")
    examples = []
    for moment in (TRAIN_MOMENT, TEST_MOMENT):
        start, end = pd.Timestamp(moment), pd.Timestamp(moment) + pd.Timedelta(days=30)
        known = bills[bills["billed_at"] <= start].groupby("user_id").agg(visits=("billed_on", "nunique"))
        since = bills[(bills["billed_at"] > start) & (bills["billed_at"] <= end)]
        examples.append(known.assign(bought=known.index.isin(since["user_id"]).astype(float)))
    chances = pd.concat(examples).groupby("visits")["bought"].mean()
    assert report.parameters == {f"{visits}": pytest.approx(chance) for visits, chance in chances.items()}


def test_an_estimator_may_have_a_way_of_its_own_to_be_fitted_again(shop: Path) -> None:
    report = trained(deployment(shop, with_candidate(Careful))).report
    assert (report.parameters, report.fitted_moments) == ({"users": 40 + 80}, (TRAIN_MOMENT, TEST_MOMENT))


def test_a_champion_that_has_seen_the_test_horizon_is_compared_as_if_it_had_not(shop: Path) -> None:
    """In May the 20 regulars came; in June they and 5 others. Who remembers May alone scores 0.9, who remembers June 1.

    (20 × 15 pairs in order, and 5 × 15 tied.)
    """
    place = deployment(shop, with_candidate(Memory))
    assert trained(place).report.metric.score.value == pytest.approx(0.9)
    known = reader(place)
    split = split_in_time(known, RegularsParams(), AS_OF)
    served = place.registry.load(SHOP, MODEL, 1, types_of(with_candidate(Memory)))
    assert roc_auc("bought").compute(outcomes_of(split.test), served.predict(split.test)) == 1.0
    again = trained(place).report
    assert again.champion is not None
    assert (again.champion.score.value, again.champion.difference.value) == (pytest.approx(0.9), 0.0)


def test_a_champion_of_before_the_test_horizon_is_compared_as_it_serves(shop: Path) -> None:
    """One of 31 May has learned from May at the latest, which was over before June began."""
    place = deployment(shop, with_candidate(Forgetful))
    before = train(place, reader(place), RegularsParams(), TEST_MOMENT)
    assert isinstance(before, Trained)
    assert before.report.decision.action == "promote"
    rival = champion_rival(place, reader(place), split_in_time(reader(place), RegularsParams(), AS_OF))
    assert rival is not None
    assert rival.estimator is not None
    assert rival.estimator.parameters() == before.report.parameters == {"users": 80}
    trained(place)
    rival = champion_rival(place, reader(place), split_in_time(reader(place), RegularsParams(), AS_OF))
    assert rival is not None
    assert rival.estimator is not None
    assert (rival.version, rival.estimator.parameters()) == (2, {"users": 40})


@pytest.mark.parametrize("way", ["better", "not worse"])
def test_report_decision_and_judgement_say_the_same(shop: Path, way: Literal["better", "not worse"]) -> None:
    """One who is as good as the baseline, and no better, is promoted only where no more is asked."""
    place = deployment(shop, replace(with_candidate(Nothing), beats=way))
    report = training_report(place.registry, SHOP, MODEL, trained(place).version)
    judgement = {judgement.name: judgement for judgement in report.judgements}["beats_baseline"]
    assert report.baseline.difference == (0.0, 0.0, 0.0)
    assert judgement.passed == (way == "not worse") == (report.decision.action == "promote")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("way", ["better", "not worse"])
def test_promotion_and_the_check_follow_from_the_interval_that_other_programs_compute(
    shop: Path, way: Literal["better", "not worse"], sign: int
) -> None:
    """The difference is scikit-learn's, the interval scipy's."""
    place = deployment(shop, replace(REGULARS, beats=way))
    report = training_report(place.registry, SHOP, MODEL, trained(place, RegularsParams(sign=sign)).version)
    test = split_in_time(reader(place), RegularsParams(), AS_OF).test
    bought, visits = outcomes_of(test)["bought"].to_numpy() > 0, test.columns["visits"].to_numpy(dtype=float)

    def gain(rows: np.ndarray, axis: int = -1) -> np.ndarray:
        """By the rank sum of those who bought; the baseline, to whom all are alike, has an area of a half."""
        is_positive, ranks = bought[rows], rankdata(sign * visits[rows], axis=axis)
        positives = is_positive.sum(axis=axis)
        above = (ranks * is_positive).sum(axis=axis) - positives * (positives + 1) / 2
        return above / (positives * (rows.shape[axis] - positives)) - 0.5

    drawn = bootstrap((np.arange(len(bought)),), gain, vectorized=True, method="percentile", rng=0, n_resamples=2000)
    low, high = drawn.confidence_interval
    is_enough = bool(low > 0 if way == "better" else high >= 0)
    judgement = {judgement.name: judgement for judgement in report.judgements}["beats_baseline"]
    assert report.baseline.difference[0] == pytest.approx(roc_auc_score(bought, sign * visits) - 0.5)
    assert report.baseline.difference[1:] == pytest.approx((low, high), abs=0.02)
    assert judgement.passed == is_enough
    assert (report.decision.action == "promote") == is_enough


def test_an_outcome_with_two_rows_for_a_user_is_refused(untrained: Path) -> None:
    def bills(bills: DataFrame, start: datetime, end: datetime) -> DataFrame:
        from pyspark.sql import functions as F

        inside = bills.filter((F.col("billed_at") > F.lit(start)) & (F.col("billed_at") <= F.lit(end)))
        return inside.filter("user_id is not null").select("user_id", F.lit(1.0).alias("bought"))

    place = deployment(untrained, replace(REGULARS, outcome=Outcome(bills, ("bought",))))
    window = Window(AS_OF - timedelta(days=60), AS_OF)
    with pytest.raises(GraphError) as caught:
        reader(place).outcomes_in([window], [pd.Index(["u20"], name="user_id")])
    # Regulars have a bill in May and one in June.
    assert "20 rows too many, for u2" in str(caught.value)
    assert "one row per user_id" in str(caught.value)
    assert "Outcome.per" in str(caught.value)
