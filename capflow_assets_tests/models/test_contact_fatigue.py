"""Who leaves the list, where the law by which people leave is known; and what is said where there is too little."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from sklearn.metrics import roc_auc_score

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.readiness import verdict
from capflow_assets.life.comparison import outcomes_of
from capflow_assets.life.split import Split, split_in_time
from capflow_assets.models.contact_fatigue import LEFT, MODEL, ContactFatigueParams
from capflow_assets_tests.models.campaign_shop import CampaignShop, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMS = ContactFatigueParams(threads=1)
NEWSLETTERS = {"newsletters_a_week": 1.0, "opt_out_pct": 2.0, "campaigns": 2, "opening_pct": 40}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> CampaignShop:
    return campaign_shop(tmp_path_factory.mktemp("list") / "home", spark, 2500, "contact_fatigue", **NEWSLETTERS)


@pytest.fixture(scope="module")
def split(shop: CampaignShop) -> Split:
    return split_in_time(shop.reader, PARAMS, shop.as_of)


@pytest.fixture(scope="module")
def answers(split: Split) -> dict[str, pd.DataFrame]:
    return {one.name: one.make(PARAMS).fit(split.train).predict(split.test) for one in MODEL.candidates}


def chances(shop: CampaignShop, columns: pd.DataFrame) -> pd.Series:
    """What one who knows each user's own rate and interest expects, of messages as they go on.

    The hazard of opting out is ``4 (1 - interest)² rate`` a week, of a hundred; silence takes a run that is unlikely at
    the user's rate of opening before, and comes by luck alone.
    """
    readers = shop.world.truth.readers.set_index("user_id").loc[columns.index]
    rate, interest = readers["newsletters_a_week"], readers["interest"]
    hazard = 4 * (1 - interest) ** 2 * rate * 30 / 7 * NEWSLETTERS["opt_out_pct"] / 100
    before = columns["opens_91d"] / (columns["contacts_91d"] + 1)
    with np.errstate(divide="ignore"):
        least = np.ceil(np.log(0.05) / np.log1p(-before))
    due = rate * 28 / 7
    silence = np.exp(-due * interest) * poisson.sf(least - 1, due * (1 - interest)) * (before > 0)
    return 1 - np.exp(-hazard) * (1 - silence)


def test_it_orders_users_as_one_who_knows_the_laws_and_the_baseline_does_not(
    shop: CampaignShop, split: Split, answers: dict[str, pd.DataFrame]
) -> None:
    outcomes = outcomes_of(split.test)
    truth = chances(shop, split.test.columns)
    best = roc_auc_score(outcomes[LEFT] > 0, truth)
    baseline = answers[MODEL.baseline.name]
    assert outcomes[LEFT].mean() == pytest.approx(truth.mean(), abs=0.02)
    by_messages = baseline["score"].corr(truth, method="spearman")
    for name in (candidate.name for candidate in MODEL.challengers):
        rows = answers[name]
        assert MODEL.metric.compute(outcomes, rows) > best - 0.05, name
        gain = difference_with_interval(MODEL.metric, outcomes, rows, baseline, seed=0)
        assert gain.low > 0.02, (name, gain)
        assert rows["score"].corr(truth, method="spearman") > by_messages + 0.2, name
    assert all(rule.measure(outcomes, answers["logistic splines"]) <= rule.at_most for rule in MODEL.rules)


def test_reasons_say_how_many_messages_there_were_and_how_many_were_answered(
    answers: dict[str, pd.DataFrame],
) -> None:
    reasons = answers["boosted trees"]["reasons"]
    assert reasons.str.contains(r"\d+ messages? (?:in the|since)|a message every").mean() > 0.5
    assert reasons.str.contains(r"opened (?:in|of) the|bought within a week of \d+%").mean() > 0.5


def test_those_who_opted_out_are_asked_about_no_more(shop: CampaignShop, split: Split) -> None:
    readers = shop.world.truth.readers.set_index("user_id")
    gone = readers.index[readers["opted_out_at"] <= split.test_moment]
    left = readers.index[readers["opted_out_at"] > split.test_moment]
    users = split.test.columns.index
    assert len(gone) > 300
    assert not users.isin(gone).any()
    outcomes = outcomes_of(split.test)
    assert (outcomes.loc[users.isin(left), LEFT] == 1).all()
    assert users.isin(left).sum() > 40


def test_a_customer_whose_messages_nobody_leaves_is_not_ready_and_reads_why() -> None:
    tables = {"clean/bills": 9000, "raw/messages": 900}
    evidence = {"tables": tables, "history_days": 400, "users": 500, "messages": 900, "positives": 0}
    assert [reason.fix for reason in verdict(MODEL.needs, evidence).missing] == [
        "needs 30 users with the outcome, has 0; grows with the users, or choose a longer horizon"
    ]
    without = verdict(MODEL.needs, {**evidence, "tables": {"clean/bills": 9000}, "messages": None})
    assert "needs table raw/messages; map a source to it in the customer's file" in {r.fix for r in without.missing}


def test_labels_of_one_class_are_too_little_evidence(split: Split) -> None:
    everybody = replace(split.train, outcomes=pd.DataFrame({LEFT: 1.0}, index=split.train.columns.index))
    with pytest.raises(EvidenceError, match=LEFT):
        MODEL.challengers[0].make(PARAMS).fit(everybody)
