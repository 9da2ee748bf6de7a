"""Credits are what campaigns truly brought, nearer than last touch, with newsletters that bring nothing in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.life.answers import answered
from capflow_assets.life.comparison import outcomes_of
from capflow_assets.life.split import Split, split_in_time
from capflow_assets.life.training import NotReady, Trained, train
from capflow_assets.models.campaign_attribution import MODEL, CampaignAttributionParams
from capflow_assets_tests.models.campaign_shop import ZONE, CampaignShop, campaign_shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME, PARAMS = "campaign_attribution", CampaignAttributionParams()
CREDITED, LIFT = "bills_per_100_users", "lift_per_100_users"
# Half of the users are sent each campaign, three in ten of them held out, and all get a newsletter every fifth week.
DIALS: dict[str, Any] = {"campaigns": 8, "campaign_reach_pct": 50, "control_pct": 30, "newsletters_a_week": 0.2}


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> CampaignShop:
    """Pairs of campaigns, of which each age band answers another channel and each income band another offer."""
    actions = {"campaign_answers": "actions", "campaign_pairs": True, "campaign_uplift_pct": 150}
    return campaign_shop(tmp_path_factory.mktemp("shop") / "home", spark, users=2000, model=NAME, **DIALS, **actions)


@pytest.fixture(scope="module")
def split(shop: CampaignShop) -> Split:
    return split_in_time(shop.reader, PARAMS, shop.as_of)


@pytest.fixture(scope="module")
def answers(shop: CampaignShop, split: Split) -> dict[str, pd.DataFrame]:
    """Those of every candidate, by its name."""
    fitted = {candidate.name: candidate.make(PARAMS).fit(split.train) for candidate in MODEL.candidates}
    return {name: answered(shop.reader, estimator, split.test) for name, estimator in fitted.items()}


def brought(shop: CampaignShop) -> pd.Series:
    """The extra bills of each campaign's users, by the laws of the world: rate, times uplift, times weeks."""
    world = shop.world
    effects = world.truth.effects.query("not is_control").merge(world.truth.users, on="user_id")
    begins = effects["campaign_id"].map(world.campaigns.set_index("campaign_id")["starts_at"])
    is_alive = effects["dropped_at"].isna() | (effects["dropped_at"] > begins)
    extra = effects["rate_per_week"] * is_alive * world.brand.campaign_days / 7 * effects["uplift_pct"] / 100
    return extra.groupby(effects["campaign_id"]).sum()


def test_credits_are_what_was_planted_where_last_touch_says_twice_as_much(
    shop: CampaignShop, answers: dict[str, pd.DataFrame]
) -> None:
    truth = brought(shop)
    shares = {name: rows["score"] / truth.loc[rows.index] for name, rows in answers.items()}
    for name in ("Shapley values", "Markov removal"):
        total = answers[name]["score"].sum() / truth.loc[answers[name].index].sum()
        assert total == pytest.approx(1, abs=0.2), name
        assert (shares[name] - 1).abs().mean() < 0.3, name
    assert shares["last touch"].mean() > 1.6


def test_it_is_promoted_over_last_touch_by_the_lift_that_control_groups_show(shop: CampaignShop) -> None:
    trained = train(shop.place, shop.reader, PARAMS, shop.as_of)
    assert isinstance(trained, Trained)
    report = trained.report
    assert report.decision.action == "promote", report.decision.reason
    assert report.baseline.difference.low > 0


def test_lift_is_what_those_addressed_buy_more_than_those_held_out(shop: CampaignShop, split: Split) -> None:
    lift = outcomes_of(split.test)
    sent = shop.world.messages.query("campaign_id == 'C003'").set_index("user_id")["is_control"]
    begins = shop.world.campaigns.set_index("campaign_id").loc["C003", "starts_at"].tz_convert(ZONE).normalize()
    bills = shop.world.bills
    days = (bills["billed_at"].dt.tz_convert(ZONE).dt.normalize() - begins).dt.round("D").dt.days
    counts = bills[(days >= 0) & (days < 28)].groupby("user_id").size().reindex(sent.index, fill_value=0) * 100
    treated, control = counts[~sent], counts[sent]
    error = np.sqrt(treated.var() / len(treated) + control.var() / len(control))
    expected = [treated.mean() - control.mean(), error, len(treated)]
    np.testing.assert_allclose(lift.loc["C003"].to_numpy(dtype=float), expected)


def test_bills_of_those_held_out_change_no_credit(shop: CampaignShop, split: Split) -> None:
    messages, bills = split.test.table("raw/messages"), split.test.table("clean/bills")
    held = messages[messages["is_control"].astype(bool) & (messages["campaign_id"] == "C005")]
    days = pd.to_datetime(bills["billed_on"])
    begins = pd.to_datetime(held["sent_at"], utc=True).dt.tz_convert(ZONE).dt.tz_localize(None).min().normalize()
    is_theirs = bills["user_id"].isin(held["user_id"])
    while_it_works = is_theirs & (days >= begins) & (days < begins + pd.Timedelta(days=28))
    assert while_it_works.sum() > 100
    tables = {**split.test.tables, "clean/bills": (bills[~while_it_works],)}
    without = type(split.test)(split.test.columns, None, tables, split.test.moments, split.test.zone)
    scores = [
        candidate.make(PARAMS).fit(split.train).predict(of).loc["C005", CREDITED]
        for candidate in MODEL.challengers
        for of in (split.test, without)
    ]
    # What is left of it is that they look as if they came more rarely in the quarter after.
    np.testing.assert_allclose(scores[::2], scores[1::2], rtol=0.1)


def test_it_says_how_the_bills_came(answers: dict[str, pd.DataFrame]) -> None:
    rows = answers["Shapley values"]
    assert set(rows["main_channel"]) <= {"email", "push", "sms"}
    assert rows["reasons"].str.match(r"[\d,]+ of [\d,]+ bills after its messages to [\d,]+ users; \w+ \d+").all()
    assert (rows["score"] <= rows["bills_after"] * 1.2).all()


def test_where_nobody_was_held_out_it_is_not_ready_and_says_why(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("no-control") / "home"
    young = campaign_shop(home, spark, users=200, model=NAME, control_pct=0)
    verdict = train(young.place, young.reader, PARAMS, young.as_of)
    assert isinstance(verdict, NotReady)
    fixes = " / ".join(reason.fix for reason in verdict.verdict.missing)
    assert "nobody was held out by chance" in fixes
