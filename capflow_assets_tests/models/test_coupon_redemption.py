"""Which uses of coupons count for whom, and that those who use them are told apart from those who only visit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from capflow_assets.definitions import STAGES
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.intervals import difference_with_interval
from capflow_assets.learning.readiness import verdict
from capflow_assets.life.answers import answered
from capflow_assets.life.comparison import chosen_candidate, outcomes_of
from capflow_assets.life.split import Split, split_in_time
from capflow_assets.models.coupon_redemption import MODEL, CouponRedemptionParams, begun, known, outcome
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.models.campaign_shop import CampaignShop, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARAMS = CouponRedemptionParams(threads=1, horizon_days=21)
ZONE = "Europe/Madrid"
# The moment before 10 June in Madrid, and that before the 24th.
START, END = (datetime(2024, 6, day, 21, 59, 59, 999999, tzinfo=UTC) for day in (9, 23))


def june(day: int, hour: int = 9) -> datetime:
    return datetime(2024, 6, day, hour, tzinfo=UTC)


def table(spark: SparkSession, name: str, rows: list[dict[str, Any]]) -> DataFrame:
    return frame_of(spark, STAGES.tables[name].table, rows)


def used(user: str | None, coupon: str, at: datetime, campaign: str | None = None) -> dict[str, Any]:
    return {"user_id": user, "coupon_id": coupon, "campaign_id": campaign, "redeemed_at": at}


CAMPAIGNS = [{"campaign_id": name, "starts_at": june(10)} for name in ("c", "d", "plain")]
COUPONS = [
    {"coupon_id": coupon, "campaign_id": campaign, "item_id": item}
    for coupon, campaign, item in (("k", "c", "tea"), ("k", "c", "jam"), ("both", "c", None), (" both", "d ", None))
]
USERS = ["ann", "bob", "cas", "dan", "eve", "fay", *(f"idle{number}" for number in range(6))]
MESSAGES = [
    {"campaign_id": campaign, "user_id": user, "channel": "email", "sent_at": june(10), "is_control": user == "fay"}
    for user in USERS
    for campaign in ("c", "d", "plain")
]
REDEMPTIONS = [
    used("ann", "k", june(12), "c"),
    used("ann", "k", june(13), "c"),
    used("bob", "both", june(12)),  # of both campaigns
    used("cas", "k", june(12), "plain"),  # of a campaign that hands no coupons out
    used("dan", "k", END.replace(hour=22, minute=0)),  # after the horizon
    used("eve", "both", END, "d"),
    used("fay", "k", june(12), "c"),  # held out
    used("idle0", "unheard", june(12)),
    used("stranger", "k", june(12)),
    used(None, "k", june(12)),
]


def test_a_redemption_counts_for_the_campaign_that_handed_the_coupon_out(spark: SparkSession) -> None:
    names = ("messages", "campaigns", "coupons", "redemptions")
    rows = (MESSAGES, CAMPAIGNS, COUPONS, REDEMPTIONS)
    tables = [table(spark, f"raw/{name}", of) for name, of in zip(names, rows, strict=True)]
    outcomes = outcome(*tables, START, END, ZONE).collect()
    assert len(outcomes) == 2 * (len(USERS) - 1)
    assert {(row["user_id"], row["campaign_id"]) for row in outcomes if row["redeemed"]} == {
        ("ann", "c"),
        ("bob", "c"),
        ("bob", "d"),
        ("eve", "d"),
    }


def test_examples_and_questions_are_of_campaigns_with_coupons(spark: SparkSession) -> None:
    from capflow_assets_tests.features.shoppers import bill, bills_of

    campaigns, coupons = table(spark, "raw/campaigns", CAMPAIGNS), table(spark, "raw/coupons", COUPONS)
    pairs = begun(table(spark, "raw/messages", MESSAGES), campaigns, coupons, ZONE).collect()
    assert {row["campaign_id"] for row in pairs} == {"c", "d"}
    bills = bills_of(spark, [bill("ana", "2024-06-03", 1.0), bill("cem", "2024-06-04", 2.0)])
    subjects = known(bills, campaigns, coupons, june(20), ZONE).collect()
    assert sorted(tuple(row) for row in subjects) == [(user, of) for user in ("ana", "cem") for of in ("c", "d")]


# -- the planted world -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> CampaignShop:
    """Users of whom those use coupons who mind the price: past uses are better evidence than visits."""
    dials = {"redemption_answers": "thrifty", "redemption_pct": 30, "campaigns": 10, "control_pct": 20}
    return campaign_shop(tmp_path_factory.mktemp("shop") / "home", spark, 2500, "coupon_redemption", **dials)


@pytest.fixture(scope="module")
def split(shop: CampaignShop) -> Split:
    return split_in_time(shop.reader, PARAMS, shop.as_of)


def auc(labels: np.ndarray, score: np.ndarray) -> float:
    """The share of pairs in the right order (Mann and Whitney 1947)."""
    positive = labels > 0
    ranks = rankdata(score)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(ranks / (positive.sum() * (~positive).sum()))


def true_chances(shop: CampaignShop, split: Split) -> np.ndarray:
    """Of each user of the test, the chance that one of the bills of the campaign's days uses a coupon.

    ``1 - exp(-p rate weeks)``, with ``p`` the chance of a bill by price sensitivity; 0 for those who have left.
    """
    world = shop.world
    users = world.truth.users.set_index("user_id").loc[split.test.columns.index.get_level_values("user_id")]
    is_here = (users["dropped_at"].isna() | (users["dropped_at"] > split.test_moment)).to_numpy()
    chance = world.brand.redemption_pct / 100 * users["price_sensitivity"].to_numpy() / 2
    weeks = world.brand.campaign_days / 7
    return is_here * -np.expm1(-chance * users["rate_per_week"].to_numpy() * weeks)


def test_it_comes_near_one_who_knows_the_law_and_beats_past_uses(shop: CampaignShop, split: Split) -> None:
    estimator = chosen_candidate(MODEL, PARAMS, split).make(PARAMS).fit(split.train)
    answers = answered(shop.reader, estimator, split.test)
    labels = outcomes_of(split.test)["redeemed"].to_numpy()
    best, ours = auc(labels, true_chances(shop, split)), auc(labels, answers["score"].to_numpy())
    assert MODEL.metric.compute(outcomes_of(split.test), answers) == pytest.approx(ours)
    assert best - 0.1 < ours
    baseline = MODEL.baseline.make(PARAMS).fit(split.train).predict(split.test)
    assert difference_with_interval(MODEL.metric, outcomes_of(split.test), answers, baseline, seed=0).low > 0
    assert answers["reasons"].str.contains("coupons used").any()


def test_outcomes_are_the_redemptions_of_the_campaign(shop: CampaignShop, split: Split) -> None:
    outcomes = outcomes_of(split.test)
    (campaign,) = set(outcomes.index.get_level_values("campaign_id"))
    redemptions = shop.world.redemptions
    redeemed = set(redemptions.loc[redemptions["campaign_id"] == campaign, "user_id"])
    users = outcomes.index.get_level_values("user_id")
    assert outcomes["redeemed"].to_numpy().tolist() == users.isin(redeemed).astype(float).tolist()
    assert 0 < outcomes["redeemed"].mean() < 1


# -- too little --------------------------------------------------------------------------------------------------------


def test_a_customer_without_coupons_is_not_ready_and_reads_why() -> None:
    tables = {"clean/bills": 9000, "raw/messages": 900, "raw/campaigns": 8}
    evidence = {"tables": tables, "history_days": 400, "users": 500, "campaigns": 8, "messages": 900}
    answer = verdict(MODEL.needs, evidence)
    assert answer.state == "not ready"
    fixes = [reason.fix for reason in answer.missing]
    assert "needs table raw/coupons; map a source to it in the customer's file" in fixes
    assert "needs table raw/redemptions; map a source to it in the customer's file" in fixes


def test_where_nobody_redeemed_there_is_nothing_to_learn(split: Split) -> None:
    nobody = replace(split.train, outcomes=pd.DataFrame({"redeemed": 0.0}, index=split.train.columns.index))
    with pytest.raises(EvidenceError, match="redeemed"):
        MODEL.challengers[0].make(PARAMS).fit(nobody)
