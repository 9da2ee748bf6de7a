"""What an answer to a campaign is, who is asked about, and that planted rates of buying are recovered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from capflow_assets.life.training import NotReady, train
from capflow_assets.models.campaign_response import MODEL, CampaignResponseParams, begun, outcome
from capflow_assets_doubles.engines import frame_of
from capflow_assets_tests.models.campaign_shop import CampaignShop, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARAMS = CampaignResponseParams(threads=1)
ZONE = "Europe/Madrid"
# The moment before 10 June in Madrid, and that before the 17th.
START, END = (datetime(2024, 6, day, 21, 59, 59, 999999, tzinfo=UTC) for day in (9, 16))


def june(day: int, hour: int = 9) -> datetime:
    return datetime(2024, 6, day, hour, tzinfo=UTC)


def table(spark: SparkSession, name: str, rows: list[dict[str, Any]]) -> DataFrame:
    return frame_of(spark, STAGES.tables[name].table, rows)


def sent(user: str | None, at: datetime | None, campaign: str = "c", **more: Any) -> dict[str, Any]:
    return {"campaign_id": campaign, "user_id": user, "channel": "email", "sent_at": at, "is_control": False} | more


CAMPAIGNS = [{"campaign_id": "c", "starts_at": june(10)}, {"campaign_id": "later", "starts_at": june(20)}]
MESSAGES = [
    *(sent(f"idle{number}", june(10)) for number in range(8)),
    sent("ann", june(10)),
    sent("ann", june(14)),
    sent("bob", june(12)),
    sent("cas", june(10), is_control=True),
    sent("dan", june(17, 8)),  # after the horizon
    sent("eve", None),  # with its campaign
    sent(None, june(10)),
    *(sent(f"idle{number}", june(20), "later") for number in range(12)),
]


def bill(user: str | None, at: datetime, **more: Any) -> dict[str, Any]:
    row = {"bill_id": f"{user}{at}", "user_id": user, "billed_at": at, "billed_on": at.date(), "amount": 5.0}
    return row | {"is_return": False, "is_anonymous": user is None} | more


BILLS = [
    bill("ann", june(10, 8)),  # before the message
    bill("ann", june(12)),
    bill("bob", june(11)),  # before the message
    bill("bob", june(14), is_return=True, amount=-5.0),
    bill("cas", june(12)),
    bill("dan", june(18)),
    bill("eve", END),
    bill("idle0", june(17)),  # after the horizon
    bill(None, june(12)),
]


def test_an_answer_is_a_purchase_after_the_message_within_the_horizon(spark: SparkSession) -> None:
    tables = [table(spark, *of) for of in (("clean/bills", BILLS), ("raw/messages", MESSAGES))]
    rows = outcome(*tables, table(spark, "raw/campaigns", CAMPAIGNS), START, END, ZONE).collect()
    assert {row["campaign_id"] for row in rows} == {"c"}
    assert {row["user_id"]: row["answered"] for row in rows} == {
        **{f"idle{number}": 0 for number in range(8)},
        "ann": 1,
        "bob": 0,
        "eve": 1,
    }


def test_examples_are_of_those_addressed_before_the_first_day_of_each_campaign(spark: SparkSession) -> None:
    rows = begun(table(spark, "raw/messages", MESSAGES), table(spark, "raw/campaigns", CAMPAIGNS), ZONE)
    pairs = {(row["user_id"], row["campaign_id"]) for row in rows.collect()}
    assert ("dan", "c") in pairs
    assert ("cas", "c") not in pairs
    assert len(pairs) == 12 + 12
    moments = rows.selectExpr("campaign_id", "unix_micros(began_at) AS micros").distinct().collect()
    later = datetime(2024, 6, 19, 21, 59, 59, 999999, tzinfo=UTC)
    expected = {"c": START, "later": later}
    assert {row["campaign_id"]: row["micros"] for row in moments} == {
        name: round(moment.timestamp() * 1e6) for name, moment in expected.items()
    }


def test_a_campaign_that_addressed_hardly_anybody_is_no_example(spark: SparkSession) -> None:
    few = [sent(f"u{number}", june(10)) for number in range(9)]
    assert begun(table(spark, "raw/messages", few), table(spark, "raw/campaigns", CAMPAIGNS), ZONE).count() == 0


# -- the planted world -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> CampaignShop:
    """Users of very different rates, many of whom leave."""
    dials = {"r": 1.0, "alpha_weeks": 2.0, "a": 0.6, "b": 6.0, "campaigns": 6, "control_pct": 20}
    return campaign_shop(tmp_path_factory.mktemp("shop") / "home", spark, 2500, "campaign_response", **dials)


@pytest.fixture(scope="module")
def split(shop: CampaignShop) -> Split:
    return split_in_time(shop.reader, PARAMS, shop.as_of)


def auc(labels: np.ndarray, score: np.ndarray) -> float:
    """The share of pairs in the right order (Mann and Whitney 1947)."""
    positive = labels > 0
    ranks = rankdata(score)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(ranks / (positive.sum() * (~positive).sum()))


def test_it_comes_near_one_who_knows_every_rate_and_who_has_left(shop: CampaignShop, split: Split) -> None:
    """Nobody can know who left; a few hundredths of the AUC are lost to that."""
    estimator = chosen_candidate(MODEL, PARAMS, split).make(PARAMS).fit(split.train)
    answers = answered(shop.reader, estimator, split.test)
    labels = outcomes_of(split.test)["answered"].to_numpy()
    users = shop.world.truth.users.set_index("user_id").loc[split.test.columns.index.get_level_values("user_id")]
    is_here = (users["dropped_at"].isna() | (users["dropped_at"] > split.test_moment)).to_numpy()
    best = auc(labels, is_here * users["rate_per_week"].to_numpy())
    ours = auc(labels, answers["score"].to_numpy())
    assert MODEL.metric.compute(outcomes_of(split.test), answers) == pytest.approx(ours)
    assert best - 0.1 < ours < best
    baseline = MODEL.baseline.make(PARAMS).fit(split.train).predict(split.test)
    assert difference_with_interval(MODEL.metric, outcomes_of(split.test), answers, baseline, seed=0).low > 0
    assert answers["score"].mean() == pytest.approx(labels.mean(), abs=0.08)
    assert answers["reasons"].str.contains("visit").any()


def test_outcomes_are_the_purchases_of_the_week(shop: CampaignShop, split: Split) -> None:
    outcomes = outcomes_of(split.test)
    (campaign,) = set(outcomes.index.get_level_values("campaign_id"))
    messages = shop.world.messages[~shop.world.messages["is_control"]]
    sent_to = messages[messages["campaign_id"] == campaign].set_index("user_id")
    users = outcomes.index.get_level_values("user_id")
    assert sorted(users) == sorted(sent_to.index)
    bills = shop.world.bills
    end = sent_to["sent_at"].min().tz_convert(ZONE).normalize() + timedelta(days=7)
    week = bills[(bills["billed_at"] > sent_to["sent_at"].min()) & (bills["billed_at"] < end)]
    # Returns are not marked in this shop, and are none of the purchases that are drawn here.
    assert outcomes["answered"].to_numpy().tolist() == users.isin(week["user_id"]).astype(float).tolist()


def test_everybody_is_scored_for_the_campaign_that_is_next(shop: CampaignShop) -> None:
    moment = shop.as_of - timedelta(days=100)
    state = shop.reader.state(moment)
    bills = shop.world.bills.dropna(subset="user_id")
    seen = bills.loc[bills["billed_at"] <= moment, "user_id"].unique()
    starts = shop.world.campaigns.set_index("campaign_id")["starts_at"]
    following = starts[starts > moment].idxmin()
    running = shop.world.campaigns.query("starts_at <= @moment and ends_at > @moment")["campaign_id"]
    assert sorted(state.columns.index) == sorted((user, of) for user in seen for of in {following, *running})


# -- too little --------------------------------------------------------------------------------------------------------


def test_a_customer_without_campaigns_is_not_ready_and_reads_why() -> None:
    answer = verdict(MODEL.needs, {"tables": {"clean/bills": 9000}, "history_days": 400, "users": 500})
    assert answer.state == "not ready"
    fixes = [reason.fix for reason in answer.missing]
    assert "needs table raw/campaigns; map a source to it in the customer's file" in fixes
    assert "needs table raw/messages; map a source to it in the customer's file" in fixes


def test_a_customer_of_one_small_campaign_is_not_ready(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("young") / "home"
    young = campaign_shop(home, spark, 150, "campaign_response", campaigns=1)
    trained = train(young.place, young.reader, PARAMS, young.as_of)
    assert isinstance(trained, NotReady)
    fixes = " / ".join(reason.fix for reason in trained.verdict.missing)
    assert "needs 2 campaigns begun, has 1; send the campaigns of the past" in fixes


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_or_none_answered_there_is_nothing_to_learn(split: Split, value: float) -> None:
    one_class = replace(split.train, outcomes=pd.DataFrame({"answered": value}, index=split.train.columns.index))
    with pytest.raises(EvidenceError, match="answered"):
        MODEL.challengers[0].make(PARAMS).fit(one_class)


def test_columns_that_say_nothing_are_answered_by_the_share(split: Split) -> None:
    def blank(value: float) -> dict[str, float]:
        return dict.fromkeys(MODEL.columns, value)

    for value in (np.nan, 3.0, np.inf):
        train_, test = (replace(of, columns=of.columns.assign(**blank(value))) for of in (split.train, split.test))
        answers = MODEL.challengers[0].make(PARAMS).fit(train_).predict(test)
        assert answers["score"].nunique() == 1
        assert 0 < answers["score"].iloc[0] < 1
