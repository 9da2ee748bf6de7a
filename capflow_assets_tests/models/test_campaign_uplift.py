"""What was planted is recovered, what was not is not promoted, and who was chosen for a campaign cannot be seen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from capflow_assets.contract import Examples
from capflow_assets.learning.intervals import score_with_interval
from capflow_assets.life.answers import answered
from capflow_assets.life.comparison import chosen_candidate, outcomes_of
from capflow_assets.life.split import Split, apart, split_in_time
from capflow_assets.life.training import NotReady, Trained, train
from capflow_assets.models.campaign_uplift import MODEL, CampaignUpliftParams
from capflow_assets_tests.models.campaign_shop import ZONE, CampaignShop, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = CampaignUpliftParams(threads=1)


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> CampaignShop:
    """Campaigns that move the young and poor most, and the oldest not at all."""
    return campaign_shop(tmp_path_factory.mktemp("shop") / "home", spark, campaign_uplift_pct=100)


@pytest.fixture(scope="module")
def split(shop: CampaignShop) -> Split:
    return split_in_time(shop.reader, PARAMS, shop.as_of)


def answers_of(shop: CampaignShop, split: Split) -> pd.DataFrame:
    estimator = chosen_candidate(MODEL, PARAMS, split).make(PARAMS).fit(split.train)
    return answered(shop.reader, estimator, split.test)


def rank_correlation(shop: CampaignShop, answers: pd.DataFrame) -> float:
    """Of the score with the extra visits that the world's laws give each user of the test's campaign."""
    users, campaigns = (answers.index.get_level_values(name) for name in MODEL.subject.key)
    truth = shop.true_effect(campaigns[0]).loc[users]
    return float(spearmanr(answers["score"], truth).statistic)


def test_it_recovers_the_planted_effect(shop: CampaignShop, split: Split) -> None:
    answers = answers_of(shop, split)
    assert rank_correlation(shop, answers) > 0.5
    truth = shop.true_effect("C004")
    assert answers["score"].mean() == pytest.approx(truth.loc[answers.index.get_level_values(0)].mean(), rel=0.25)
    gap = answers["response_if_treated"] - answers["response_if_not"]
    np.testing.assert_allclose(gap, answers["score"], atol=1e-6)


def test_it_is_promoted_over_a_response_model(shop: CampaignShop) -> None:
    trained = train(shop.place, shop.reader, PARAMS, shop.as_of)
    assert isinstance(trained, Trained)
    report = trained.report
    assert report.decision.action == "promote", report.decision.reason
    assert report.metric.score.low > 0
    assert report.baseline.difference.low > 0
    assert {judgement.name for judgement in report.judgements if judgement.passed} >= {"beats_random", "balanced"}


def test_where_nothing_is_planted_the_interval_crosses_zero_and_it_is_not_promoted(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    idle = campaign_shop(tmp_path_factory.mktemp("idle") / "home", spark, campaign_uplift_pct=0)
    trained = train(idle.place, idle.reader, PARAMS, idle.as_of)
    assert isinstance(trained, Trained)
    score = trained.report.metric.score
    assert score.low < 0 < score.high
    assert trained.report.decision.action == "keep", trained.report.decision.reason
    assert "Qini's interval" in trained.report.decision.reason


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8, 12))
def test_rare_buyers_who_answer_alone_are_found_where_a_response_model_finds_the_others(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    dials = {"campaign_answers": "rare", "campaign_uplift_pct": 100, "seed": seed}
    rare = campaign_shop(tmp_path_factory.mktemp("rare") / "home", spark, users=3000, **dials)
    split = split_in_time(rare.reader, PARAMS, rare.as_of)
    answers = answers_of(rare, split)
    assert rank_correlation(rare, answers) > 0.5
    baseline = MODEL.baseline.make(PARAMS).fit(split.train).predict(split.test)
    outcomes = outcomes_of(split.test)
    ours, theirs = (score_with_interval(MODEL.metric, outcomes, rows, seed=0) for rows in (answers, baseline))
    assert ours.low > theirs.high


def test_examples_are_the_users_of_campaigns_with_their_visits_counted_from_its_first_day(
    shop: CampaignShop, split: Split
) -> None:
    outcomes = outcomes_of(split.test)
    sent = shop.world.messages.query("campaign_id == 'C004'").set_index("user_id")
    users = outcomes.index.get_level_values("user_id")
    assert sorted(users) == sorted(sent.index)
    assert (outcomes["is_treated"].to_numpy() == ~sent.loc[users, "is_control"].to_numpy()).all()
    begins = sent["sent_at"].min().tz_convert(ZONE).normalize()
    bills = shop.world.bills
    local = bills["billed_at"].dt.tz_convert(ZONE)
    counted = bills[(local >= begins) & (local < begins + timedelta(days=28))].assign(day=local.dt.date)
    visits = counted.groupby("user_id")["day"].nunique().reindex(users, fill_value=0)
    assert outcomes["visits"].to_numpy().tolist() == visits.tolist()


def test_nothing_that_is_read_tells_who_was_chosen(split: Split) -> None:
    first, second, *_ = apart(split.train)
    assert (first.columns["contacts_91d"] == 0).all()
    # A third of a year later the first campaign is older than 91 days, and the second has not begun.
    assert (second.columns["contacts_91d"] == 0).all()
    assert second.columns["open_rate"].notna().any()
    for one in (first, second, split.test):
        is_treated = outcomes_of(one)["is_treated"].to_numpy() > 0
        for name in one.columns:
            ranks = one.columns[name].astype(float).rank().fillna(0)
            difference = abs(ranks[is_treated].mean() - ranks[~is_treated].mean())
            error = ranks.std() * np.sqrt(1 / is_treated.sum() + 1 / (~is_treated).sum())
            assert difference <= 4 * error, name


def test_traits_of_a_moment_are_those_known_then(split: Split) -> None:
    estimator = MODEL.challengers[0].make(PARAMS).fit(split.train)
    empty = split.test.tables["clean/users"][0].iloc[:0]
    unknown = Examples(split.test.columns, None, {"clean/users": (empty,)}, split.test.moments, split.test.zone)
    answers = estimator.predict(unknown)
    assert not answers["score"].equals(estimator.predict(split.test)["score"])
    assert "age_band" in estimator.parameters()["traits"]


def test_everybody_is_scored_for_the_campaign_that_is_next(shop: CampaignShop) -> None:
    state = shop.reader.state(shop.as_of - timedelta(days=100))
    seen = shop.world.bills[shop.world.bills["billed_at"] <= shop.as_of - timedelta(days=100)]["user_id"].unique()
    assert sorted(state.columns.index) == sorted((user, "C004") for user in seen)


@pytest.mark.parametrize("controls", [0, 2])
def test_where_nobody_was_held_out_it_is_not_ready_and_says_why(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, controls: int
) -> None:
    home = tmp_path_factory.mktemp("no-control") / "home"
    young = campaign_shop(home, spark, users=200, control_pct=controls)
    verdict = train(young.place, young.reader, PARAMS, young.as_of)
    assert isinstance(verdict, NotReady)
    fixes = " / ".join(reason.fix for reason in verdict.verdict.missing)
    assert "needs 1 campaign with ten users addressed and ten held out, has 0" in fixes
    assert "nobody was held out by chance" in fixes


def test_one_campaign_is_halved_by_users(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("one") / "home"
    single = campaign_shop(home, spark, users=400, campaigns=1)
    split = split_in_time(single.reader, PARAMS, single.as_of)
    learned, judged = (set(part.columns.index.get_level_values(0)) for part in (split.train, split.test))
    assert not learned & judged
    assert learned | judged == set(single.world.messages["user_id"])
    answers = answers_of(single, split)
    assert np.isfinite(answers["score"]).all()
